#include "common/message_socket.h"

#include <poll.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace sysbox {
namespace {

union ControlBuffer {
  struct cmsghdr align;
  std::array<char, CMSG_SPACE(kMaxMessageFds * sizeof(int))> bytes;
};

}  // namespace

Result<void> MessageFramer::feed(std::string_view bytes) {
  pending_ += bytes;
  if (pending_.find('\0', searched_) == std::string::npos) {
    searched_ = pending_.size();
    if (pending_.size() > kMaxMessageBytes) return errno_error(EMSGSIZE, "message");
  }
  return {};
}

std::optional<std::string> MessageFramer::next() {
  const std::size_t end = pending_.find('\0', searched_);
  if (end == std::string::npos) {
    searched_ = pending_.size();
    return std::nullopt;
  }
  std::string text = pending_.substr(0, end);
  pending_.erase(0, end + 1);
  searched_ = 0;
  return text;
}

Result<MessageSocket> MessageSocket::connect(const std::string& path, Deadline deadline) {
  struct sockaddr_un address {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return errno_error(ENAMETOOLONG, "connect to '", path, "'");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return last_error("socket");
  for (;;) {
    if (::connect(socket.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address) ==
        0) {
      return MessageSocket(std::move(socket));
    }
    // EAGAIN: the listener's backlog is full; there is nothing to poll for.
    if (errno != EAGAIN || milliseconds_until(deadline) == 0) {
      return last_error("connect to '", path, "'");
    }
    ::poll(nullptr, 0, std::min(milliseconds_until(deadline), 5));
  }
}

Result<void> MessageSocket::send(std::string_view text, std::span<const int> fds,
                                 Deadline deadline) {
  if (fds.size() > kMaxMessageFds || text.size() > kMaxMessageBytes) {
    return errno_error(EMSGSIZE, "message");
  }
  std::string bytes(text);
  bytes += '\0';
  PassedFds passed;
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    struct iovec part {
      bytes.data() + sent, bytes.size() - sent
    };
    struct msghdr header {};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    if (sent == 0) passed.attach_to(header, fds);
    const ssize_t n = ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      sent += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN) {
      TRY(sys::wait_for(socket_.get(), POLLOUT, deadline).in("send message"));
    } else if (errno != EINTR) {
      return last_error("send message");
    }
  }
  return {};
}

Result<void> MessageSocket::receive_some(Deadline deadline) {
  std::array<char, 16384> bytes;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled below
  ControlBuffer control{};
  struct iovec part {
    bytes.data(), bytes.size()
  };
  struct msghdr header {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes.data();
  header.msg_controllen = control.bytes.size();
  const ssize_t n = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) {
    return sys::wait_for(socket_.get(), POLLIN, deadline).in("receive message");
  }
  if (n < 0 && errno == EINTR) return {};
  if (n < 0) return last_error("receive message");
  for (struct cmsghdr* part_header = CMSG_FIRSTHDR(&header); part_header != nullptr;
       part_header = CMSG_NXTHDR(&header, part_header)) {
    if (part_header->cmsg_level != SOL_SOCKET || part_header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part_header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part_header) + i * sizeof(int), sizeof fd);
      fds_.emplace_back(fd);
    }
  }
  if ((header.msg_flags & MSG_CTRUNC) != 0 || fds_.size() > kMaxMessageFds) {
    return errno_error(EMSGSIZE, "descriptors of a message");
  }
  if (n == 0) return errno_error(ECONNRESET, "receive message");
  return framer_.feed(std::string_view(bytes.data(), static_cast<std::size_t>(n)));
}

Result<Message> MessageSocket::receive(Deadline deadline) {
  for (;;) {
    if (std::optional<std::string> text = framer_.next()) {
      return Message{*std::move(text), std::exchange(fds_, {})};
    }
    TRY(receive_some(deadline));
  }
}

Result<struct ucred> MessageSocket::peer() const {
  struct ucred credentials {};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return last_error("SO_PEERCRED");
  }
  return credentials;
}

}  // namespace sysbox

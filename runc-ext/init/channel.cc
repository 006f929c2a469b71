#include "runc-ext/init/channel.h"

#include <sys/socket.h>

#include <array>
#include <cstring>

#include "common/passed_fds.h"

namespace sysbox::runc {
namespace {

struct Header {
  Step step;
  std::int64_t number;
};
constexpr std::size_t kMaxText = 4096;
constexpr std::int64_t kMaxErrno = 4095;  // MAX_ERRNO of the kernel

union Control {
  struct cmsghdr align;
  std::array<char, CMSG_SPACE(kMaxMessageFds * sizeof(int))> bytes;
};

Result<void> send_packet(int socket, Header header, std::string_view text,
                         std::span<const int> fds) {
  std::array<struct iovec, 2> parts{
      {{&header, sizeof header}, {const_cast<char*>(text.data()), text.size()}}};
  PassedFds passed;
  struct msghdr message {};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  passed.attach_to(message, fds);
  if (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) return last_error("send to the other process");
  return {};
}

}  // namespace

Result<std::pair<Channel, Channel>> Channel::make_pair() {
  auto [one, other] = TRY(sys::socketpair(SOCK_SEQPACKET));
  return std::pair(Channel(std::move(one)), Channel(std::move(other)));
}

Result<void> Channel::send(Step step, std::int64_t number, std::span<const int> fds) {
  if (fds.size() > kMaxMessageFds) {
    return Error(E2BIG, join(fds.size(), " mounts in one container are too many"));
  }
  return send_packet(socket_.get(), {step, number}, "", fds);
}

void Channel::send_failure(const Error& error) {
  const std::string_view text = std::string_view(error.message()).substr(0, kMaxText);
  const Result<void> sent = send_packet(socket_.get(), {Step::kFailed, error.code()}, text, {});
  static_cast<void>(sent.ok());
}

Result<StepMessage> Channel::receive(std::string_view who) {
  Header header{};
  std::string text(kMaxText, '\0');
  std::array<struct iovec, 2> parts{{{&header, sizeof header}, {text.data(), text.size()}}};
  Control control{};
  struct msghdr packet {};
  packet.msg_iov = parts.data();
  packet.msg_iovlen = parts.size();
  packet.msg_control = control.bytes.data();
  packet.msg_controllen = control.bytes.size();
  ssize_t n = -1;
  do {
    n = ::recvmsg(socket_.get(), &packet, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return last_error("receive from ", who);
  if (static_cast<std::size_t>(n) < sizeof header) {
    return Error(ECONNRESET, join(who, " ended unexpectedly"));
  }
  StepMessage message{header.step, header.number, {}, {}};
  text.resize(static_cast<std::size_t>(n) - sizeof header);
  message.text = std::move(text);
  for (struct cmsghdr* part = CMSG_FIRSTHDR(&packet); part != nullptr;
       part = CMSG_NXTHDR(&packet, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      message.fds.emplace_back(fd);
    }
  }
  // Not all of it: an honest sender stays within the limits.
  if ((packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return Error(EMSGSIZE, join(who, " sent a message that is too long"));
  }
  if (message.step == Step::kFailed) {
    const bool is_errno = message.number > 0 && message.number <= kMaxErrno;
    return Error(is_errno ? static_cast<int>(message.number) : EPROTO, std::move(message.text));
  }
  return message;
}

Result<StepMessage> Channel::expect(Step step, std::string_view who) {
  StepMessage message = TRY(receive(who));
  if (message.step != step) return Error(EPROTO, join(who, " sent an unexpected message"));
  return message;
}

}  // namespace sysbox::runc

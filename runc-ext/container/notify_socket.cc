#include "runc-ext/container/notify_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>

#include "common/log.h"
#include "common/passed_fds.h"
#include "common/root_dir.h"

namespace sysbox::runc {
namespace {

constexpr const char* kDirectory = "notify";
constexpr const char* kSocket = "notify.sock";
constexpr const char* kDirectoryInside = "/run/notify";
constexpr std::size_t kMaxMessageBytes = 4096;
// A manager that knows no barriers does not answer.
constexpr auto kBarrierTimeout = std::chrono::seconds(30);

std::string manager_address() {
  const char* address = ::getenv("NOTIFY_SOCKET");
  return address != nullptr ? address : "";
}

// A file system address, or an abstract one for '@'.
Result<std::pair<struct sockaddr_un, socklen_t>> address_of(const std::string& path) {
  struct sockaddr_un address {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Error(ENAMETOOLONG, join("socket address '", path, "' is too long"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path.starts_with('@')) address.sun_path[0] = '\0';
  const std::size_t length =
      offsetof(struct sockaddr_un, sun_path) + path.size() + (path.starts_with('@') ? 0 : 1);
  return std::pair(address, static_cast<socklen_t>(length));
}

Result<UniqueFd> datagram_socket() {
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return last_error("socket");
  return socket;
}

Result<void> send_text(int socket, std::string text, std::span<const int> fds = {}) {
  struct iovec part {
    text.data(), text.size()
  };
  PassedFds passed;
  struct msghdr message {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  passed.attach_to(message, fds);
  if (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) return last_error("send to NOTIFY_SOCKET");
  return {};
}

// Until the manager has handled what was sent before: it forgets messages of a sender that is
// gone (sd_notify_barrier(3)).
Result<void> wait_for_manager(int socket) {
  auto [ours, given] = TRY(sys::pipe());
  const std::array fds = {given.get()};
  TRY(send_text(socket, "BARRIER=1", fds));
  given.reset();
  const Result<void> done = sys::wait_for(ours.get(), POLLIN, after(kBarrierTimeout));
  if (!done.ok()) log::warning("NOTIFY_SOCKET: no answer to a barrier, going on without");
  return {};
}

// The line that says so; a message is several lines of NAME=VALUE.
std::string find_ready_line(std::string_view message) {
  while (!message.empty()) {
    const std::string_view line = message.substr(0, message.find('\n'));
    if (line.starts_with("READY=")) return std::string(line);
    message.remove_prefix(std::min(message.size(), line.size() + 1));
  }
  return "";
}

}  // namespace

Result<std::string> prepare_notify_socket(const StateDir& directory, OciSpec& spec) {
  if (manager_address().empty()) return std::string();
  TRY(sys::mkdirat(directory.fd(), kDirectory, 0755));
  OciMount mount;
  mount.destination = kDirectoryInside;
  mount.source = join(directory.path(), "/", kDirectory);
  mount.type = "bind";
  for (const char* option : {"bind", "nosuid", "noexec", "nodev", "ro"}) {
    apply_mount_option(mount, option);
  }
  spec.mounts.push_back(std::move(mount));
  return join("NOTIFY_SOCKET=", kDirectoryInside, "/", kSocket);
}

Result<std::optional<NotifyProxy>> NotifyProxy::open(const StateDir& directory) {
  std::string manager = manager_address();
  if (manager.empty()) return std::optional<NotifyProxy>();
  const Result<UniqueFd> place =
      sys::openat(directory.fd(), kDirectory, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (!place.ok() && place.error().code() == ENOENT) return std::optional<NotifyProxy>();
  if (!place.ok()) return place.error();
  // By a descriptor: an address has room for 107 bytes only.
  const auto [address, length] = TRY(address_of(join(fd_path(place.value().get()), "/", kSocket)));
  UniqueFd socket = TRY(datagram_socket());
  if (::bind(socket.get(), reinterpret_cast<const struct sockaddr*>(&address), length) != 0) {
    return last_error("bind the container's notify socket");
  }
  // Whoever is in the container may notify: its main process may be anybody.
  if (::fchmodat(place.value().get(), kSocket, 0777, 0) != 0) return last_error("chmod ", kSocket);
  return std::optional<NotifyProxy>(NotifyProxy(std::move(socket), std::move(manager)));
}

Result<void> NotifyProxy::tell_manager(const std::string& ready_line, pid_t main_pid) {
  const auto [address, length] = TRY(address_of(manager_));
  to_manager_ = TRY(datagram_socket());
  if (::connect(to_manager_.get(), reinterpret_cast<const struct sockaddr*>(&address), length) !=
      0) {
    return last_error("connect to NOTIFY_SOCKET '", manager_, "'");
  }
  TRY(send_text(to_manager_.get(), ready_line + "\n"));
  return send_text(to_manager_.get(), join("MAINPID=", main_pid, "\n"));
}

Result<bool> NotifyProxy::forward(pid_t main_pid) {
  std::array<char, kMaxMessageBytes> buffer{};
  const ssize_t n = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (n < 0) {
    if (errno == EAGAIN || errno == EINTR) return false;
    return last_error("receive from the container's notify socket");
  }
  const std::string line =
      find_ready_line(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
  if (line.empty()) return false;
  TRY(tell_manager(line, main_pid));
  return true;
}

Result<void> NotifyProxy::wait_until_ready(pid_t main_pid, int init_pidfd) {
  for (;;) {
    std::array<struct pollfd, 2> fds{{{socket_.get(), POLLIN, 0}, {init_pidfd, POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return last_error("poll");
    }
    if (fds[0].revents != 0 && TRY(forward(main_pid))) return wait_for_manager(to_manager_.get());
    if (fds[0].revents == 0 && fds[1].revents != 0) return {};
  }
}

}  // namespace sysbox::runc

#include "runc-ext/container/console.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "common/passed_fds.h"
#include "common/root_dir.h"
#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

// Where an engine that has hung does not accept.
constexpr auto kConnectTimeout = std::chrono::seconds(10);

Result<void> connect_to(int socket_fd, const std::string& path, const std::string& shown,
                        std::string_view what) {
  struct sockaddr_un address {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const Deadline deadline = after(kConnectTimeout);
  while (::connect(socket_fd, reinterpret_cast<struct sockaddr*>(&address), sizeof address) != 0) {
    // EAGAIN: the backlog is full, which poll(2) does not tell.
    if (errno != EAGAIN || milliseconds_until(deadline) == 0) {
      return last_error("connect to the ", what, " '", shown, "'");
    }
    ::usleep(5000);
  }
  return {};
}

}  // namespace

Result<void> check_console_options(bool terminal, bool detach, const std::string& console_socket) {
  if (detach && terminal && console_socket.empty()) {
    return Error(EINVAL, "cannot allocate tty if runc will detach without setting console socket");
  }
  if ((!detach || !terminal) && !console_socket.empty()) {
    return Error(EINVAL, "cannot use console socket if runc will not detach or allocate tty");
  }
  return {};
}

Result<UniqueFd> connect_engine_socket(const std::string& path_on_host, std::string_view what) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return last_error("socket");
  struct sockaddr_un address {};
  if (path_on_host.size() < sizeof address.sun_path) {
    TRY(connect_to(socket.get(), path_on_host, path_on_host, what));
  } else {
    // An address holds 107 bytes: go by a descriptor of the socket's file.
    const UniqueFd file = TRY(sys::open(path_on_host, O_PATH).in(what));
    TRY(connect_to(socket.get(), fd_path(file.get()), path_on_host, what));
  }
  // The sender waits if the engine is slow to take it.
  if (::fcntl(socket.get(), F_SETFL, 0) != 0) return last_error("fcntl");
  return socket;
}

Result<void> send_named_fd(int socket_fd, std::string_view name, int fd) {
  std::string data(name);
  struct iovec part {
    data.data(), data.size()
  };
  PassedFds passed;
  struct msghdr message {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  passed.attach_to(message, {&fd, 1});
  ssize_t sent = -1;
  do {
    sent = ::sendmsg(socket_fd, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return last_error("send a descriptor (", name, ") to the engine");
  return {};
}

Result<Console> open_console(const std::string& ptmx_path) {
  Console console;
  console.master = TRY(sys::open(ptmx_path, O_RDWR | O_NOCTTY));
  const int unlocked = 0;
  if (::ioctl(console.master.get(), TIOCSPTLCK, &unlocked) != 0) {
    return last_error("unlock the terminal of '", ptmx_path, "'");
  }
  console.slave =
      UniqueFd(::ioctl(console.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!console.slave) return last_error("open the terminal of '", ptmx_path, "'");
  return console;
}

Result<void> set_console_size(int console_fd, const OciConsoleSize& size) {
  struct winsize window {};
  window.ws_row = size.height;
  window.ws_col = size.width;
  if (::ioctl(console_fd, TIOCSWINSZ, &window) != 0) return last_error("set the terminal's size");
  return {};
}

void copy_own_terminal_size(int console_fd) {
  for (const int own : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    struct winsize size {};
    if (::isatty(own) != 1 || ::ioctl(own, TIOCGWINSZ, &size) != 0) continue;
    ::ioctl(console_fd, TIOCSWINSZ, &size);
    return;
  }
}

void keep_line_ends(int console_fd) {
  struct termios mode {};
  if (::tcgetattr(console_fd, &mode) != 0) return;
  mode.c_oflag &= ~static_cast<tcflag_t>(ONLCR);
  ::tcsetattr(console_fd, TCSANOW, &mode);
}

Result<void> take_console(int slave_fd) {
  // Fails with EPERM for the leader of a process group; a session of its own is there already then.
  if (::setsid() < 0 && ::getsid(0) != ::getpid()) return last_error("setsid");
  if (::ioctl(slave_fd, TIOCSCTTY, 0) != 0) return last_error("take the controlling terminal");
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (slave_fd == standard) continue;
    if (::dup2(slave_fd, standard) < 0) return last_error("dup2 of the terminal");
  }
  return {};
}

}  // namespace sysbox::runc

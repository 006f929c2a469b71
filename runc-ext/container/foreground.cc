#include "runc-ext/container/foreground.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string>

#include "common/log.h"
#include "common/syscalls.h"
#include "runc-ext/container/console.h"

namespace sysbox::runc {
namespace {

// One step of a relay: small enough that a write to a terminal or pipe which poll(2) called
// writable does not block (PIPE_BUF).
constexpr std::size_t kChunkBytes = 4096;

sigset_t signals_to_take() {
  sigset_t set;
  sigfillset(&set);
  // What our own mistakes raise must end us; what job control sends to a background process
  // that touches the terminal must stop us.
  for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU}) {
    sigdelset(&set, own);
  }
  return set;
}

bool is_passed_on(int signal) {
  return signal != SIGCHLD && signal != SIGWINCH && signal != SIGPIPE && signal != SIGURG;
}

bool ends_us(int signal) {
  return signal == SIGTERM || signal == SIGINT || signal == SIGHUP || signal == SIGQUIT;
}

// Our terminal in raw mode: every key, Ctrl-C as well, is for the container's terminal.
class RawTerminal {
 public:
  RawTerminal() {
    if (::tcgetattr(STDIN_FILENO, &before_) == 0) {
      is_terminal_ = true;
      apply();
    }
  }
  ~RawTerminal() {
    if (is_terminal_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

  void apply() const {
    if (!is_terminal_) return;
    struct termios raw = before_;
    ::cfmakeraw(&raw);
    raw.c_oflag = before_.c_oflag;  // line ends are left to it, see keep_line_ends()
    ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  }

 private:
  struct termios before_ {};
  bool is_terminal_ = false;
};

// Three of the relay, then our signals and the container's notify socket.
constexpr std::size_t kSignals = 3;
constexpr std::size_t kNotify = 4;
using PollFds = std::array<struct pollfd, 5>;

// Copies between our standard streams and the container's terminal, one poll(2) round a call.
class ConsoleRelay {
 public:
  explicit ConsoleRelay(UniqueFd master) : master_(std::move(master)) {
    // Its input is full if nobody inside reads; signals must be passed on nevertheless.
    ::fcntl(master_.get(), F_SETFL, O_NONBLOCK);
    hold_slave();
    copy_size();
  }

  void ask(PollFds& fds) const {
    fds[0] = {stdin_open_ && input_.empty() ? STDIN_FILENO : -1, POLLIN, 0};
    const auto wanted =
        static_cast<short>((output_.empty() ? POLLIN : 0) | (input_.empty() ? 0 : POLLOUT));
    fds[1] = {master_open_ && wanted != 0 ? master_.get() : -1, wanted, 0};
    fds[2] = {output_.empty() ? -1 : STDOUT_FILENO, POLLOUT, 0};
  }

  // True if anything was ready.
  bool advance(const PollFds& fds) {
    if (fds[0].revents != 0) take_input();
    if (fds[1].revents != 0) serve_master(fds[1].revents);
    if (fds[2].revents != 0) give_output();
    return fds[0].revents != 0 || fds[1].revents != 0 || fds[2].revents != 0;
  }

  void copy_size() const { copy_own_terminal_size(master_.get()); }

  void continue_after_stop() const {
    raw_.apply();  // the shell has set its own mode meanwhile
    copy_size();
  }

  // The process has ended: what the terminal still holds is all that will come.
  void begin_end() {
    stdin_open_ = false;
    input_.clear();
    ending_ = true;
  }

 private:
  void take_input() {
    std::array<char, kChunkBytes> chunk;
    const ssize_t n = ::read(STDIN_FILENO, chunk.data(), chunk.size());
    if (n > 0) {
      input_.assign(chunk.data(), static_cast<std::size_t>(n));
      at_line_start_ = input_.back() == '\n';
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
      stdin_open_ = false;
      input_ = end_of_input();
    }
  }

  // What a program that reads lines takes for the end of its input; without it `echo x | run -t`
  // of such a program would last for ever. Within a line the key has to come twice.
  std::string end_of_input() const {
    struct termios mode {};
    if (::tcgetattr(master_.get(), &mode) != 0 || (mode.c_lflag & ICANON) == 0) return "";
    return std::string(at_line_start_ ? 1 : 2, static_cast<char>(mode.c_cc[VEOF]));
  }

  void serve_master(short events) {
    if ((events & POLLOUT) != 0 && !input_.empty()) {
      const ssize_t n = ::write(master_.get(), input_.data(), input_.size());
      if (n > 0) input_.erase(0, static_cast<std::size_t>(n));
    }
    if (!output_.empty() || (events & (POLLIN | POLLHUP | POLLERR)) == 0) return;
    std::array<char, kChunkBytes> chunk;
    const ssize_t n = ::read(master_.get(), chunk.data(), chunk.size());
    if (n > 0) {
      if (stdout_open_) output_.assign(chunk.data(), static_cast<std::size_t>(n));
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
      master_open_ = !ending_ && hold_slave();  // EIO: the terminal has been hung up
    }
  }

  // Without an open slave poll(2) reports a hang-up without end. But an init such as systemd opens
  // and closes the console as it needs it, and a login session's end hangs it up.
  bool hold_slave() {
    slave_ = UniqueFd(::ioctl(master_.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    return slave_.valid();
  }

  void give_output() {
    const ssize_t n = ::write(STDOUT_FILENO, output_.data(), output_.size());
    if (n > 0) {
      output_.erase(0, static_cast<std::size_t>(n));
    } else if (errno != EINTR && errno != EAGAIN) {
      // Nobody listens any more. The program must not block over it: what it says is dropped.
      stdout_open_ = false;
      output_.clear();
    }
  }

  UniqueFd master_;
  UniqueFd slave_;
  RawTerminal raw_;
  std::string input_;   // read from us, not yet given to the terminal
  std::string output_;  // the other way
  bool stdin_open_ = true, stdout_open_ = true, master_open_ = true;
  bool ending_ = false;
  bool at_line_start_ = true;
};

int exit_code_of(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// Reaps every child that has ended; the exit code if `pid` is among them.
Result<std::optional<int>> reap_children(pid_t pid) {
  std::optional<int> code;
  for (;;) {
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, WNOHANG);
    if (ended == pid) {
      code = exit_code_of(status);
    } else if (ended == 0 || (ended < 0 && errno == ECHILD && code)) {
      return code;
    } else if (ended < 0 && errno != EINTR) {
      return last_error("wait for process ", pid);
    }
  }
}

// The loop of wait_and_forward.
class Wait {
 public:
  Wait(pid_t pid, UniqueFd pidfd, int signal_fd, UniqueFd master,
       std::optional<NotifyProxy>& notify)
      : pid_(pid), pidfd_(std::move(pidfd)), signal_fd_(signal_fd), notify_(notify) {
    if (master) relay_.emplace(std::move(master));
  }

  Result<int> run() {
    // It may have ended before SIGCHLD was ours to take.
    TRY(reap());
    for (;;) {
      // After the end only what the terminal still holds is of interest.
      if (code_ && (!relay_ || given_up_)) return *code_;
      PollFds fds = {{{-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}}};
      if (relay_) relay_->ask(fds);
      fds[kSignals] = {signal_fd_, POLLIN, 0};
      fds[kNotify] = {notify_ ? notify_->fd() : -1, POLLIN, 0};
      const bool output_waits = fds[2].fd >= 0;
      const int ready = ::poll(fds.data(), fds.size(), code_ && !output_waits ? 0 : -1);
      if (ready < 0 && errno != EINTR) return last_error("poll");
      if (ready < 0) continue;
      if (fds[kSignals].revents != 0) TRY(take_signal());
      if (fds[kNotify].revents != 0) pass_notification_on();
      const bool moved = relay_ && relay_->advance(fds);
      if (code_ && !moved && !output_waits) return *code_;
    }
  }

 private:
  Result<void> reap() {
    if (code_) return {};
    code_ = TRY(reap_children(pid_));
    if (code_ && relay_) relay_->begin_end();
    return {};
  }

  void pass_notification_on() {
    const Result<bool> done = notify_->forward(::getpid());
    if (!done.ok()) log::warning(done.error().message());
  }

  Result<void> take_signal() {
    struct signalfd_siginfo info {};
    if (::read(signal_fd_, &info, sizeof info) != sizeof info) return {};
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGCHLD) return reap();
    if (signal == SIGWINCH && relay_) relay_->copy_size();
    if (signal == SIGCONT && relay_) relay_->continue_after_stop();
    if (code_ && ends_us(signal)) given_up_ = true;
    // It may have ended already; then there is nothing to tell it.
    if (!code_ && is_passed_on(signal)) {
      log::debug("forwarding signal ", signal, " to ", pid_);
      [[maybe_unused]] const Result<void> sent = sys::pidfd_send_signal(pidfd_.get(), signal);
    }
    return {};
  }

  pid_t pid_;
  UniqueFd pidfd_;
  int signal_fd_;
  std::optional<NotifyProxy>& notify_;
  std::optional<ConsoleRelay> relay_;
  std::optional<int> code_;
  bool given_up_ = false;
};

}  // namespace

void reset_signals() {
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    ::sigaction(signal, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

Result<Foreground> Foreground::prepare(Subreaper subreaper) {
  const sigset_t taken = signals_to_take();
  UniqueFd signal_fd(::signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signal_fd) return last_error("signalfd");
  if (subreaper == Subreaper::kYes && ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
    return last_error("become a subreaper");
  }
  // An inherited SIG_IGN would reap children for us, and their status with them.
  struct sigaction by_default {};
  by_default.sa_handler = SIG_DFL;
  ::sigaction(SIGCHLD, &by_default, nullptr);
  sigset_t old_mask;
  if (::sigprocmask(SIG_BLOCK, &taken, &old_mask) != 0) return last_error("sigprocmask");
  return Foreground(std::move(signal_fd), old_mask);
}

Foreground::~Foreground() {
  if (signal_fd_) ::sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
}
Foreground::Foreground(Foreground&& other) noexcept
    : signal_fd_(std::move(other.signal_fd_)),
      old_mask_(other.old_mask_),
      notify_(std::move(other.notify_)) {}

Result<int> Foreground::wait_and_forward(pid_t pid, UniqueFd console_master) {
  UniqueFd pidfd = TRY(sys::pidfd_open(pid));
  return Wait(pid, std::move(pidfd), signal_fd_.get(), std::move(console_master), notify_).run();
}

}  // namespace sysbox::runc

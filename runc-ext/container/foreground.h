#pragma once

// `run` and `exec` without --detach: the process's terminal is connected to ours, signals that we
// get are passed on to it, and its end is ours.

#include <signal.h>
#include <sys/types.h>

#include <optional>

#include "common/result.h"
#include "common/unique_fd.h"
#include "runc-ext/container/notify_socket.h"

namespace sysbox::runc {

// Back to what a program expects at its start: nothing blocked, every signal's default action.
// For children of ours before execve.
void reset_signals();

enum class Subreaper { kNo, kYes };

class Foreground {
 public:
  // Blocks the signals that are passed on, so that none is lost or kills us between fork and
  // wait; call it late, right before the process is made. That one must call reset_signals().
  // As a subreaper we adopt the process when its maker has ended.
  static Result<Foreground> prepare(Subreaper subreaper);
  ~Foreground();  // the signal mask is as before
  Foreground(Foreground&& other) noexcept;
  Foreground& operator=(Foreground&&) = delete;

  // Also passes on what the container tells its service manager, who watches us.
  void forward_notifications(std::optional<NotifyProxy> notify) { notify_ = std::move(notify); }

  // Waits for the process `pid`, a child of ours or one that we adopt, and reaps every other
  // child meanwhile. Its exit status, or 128 + the signal that killed it.
  // With a console master, our standard input and output are relayed; if they are a terminal it
  // is raw for that long and its size is passed on.
  Result<int> wait_and_forward(pid_t pid, UniqueFd console_master = UniqueFd());

 private:
  Foreground(UniqueFd signal_fd, const sigset_t& old_mask)
      : signal_fd_(std::move(signal_fd)), old_mask_(old_mask) {}

  UniqueFd signal_fd_;
  sigset_t old_mask_;
  std::optional<NotifyProxy> notify_;
};

}  // namespace sysbox::runc

#pragma once

// Receives the trapped calls of all containers and answers each exactly once.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "seccomp-notify/call_audit.h"
#include "seccomp-notify/call_journal.h"
#include "seccomp-notify/container_actions.h"
#include "seccomp-notify/notify_kernel.h"

namespace sysbox::seccomp {

// A call may wait for memory, paths and namespaces of its container, each of which can take for
// ever. So every call has a deadline, and a container only so many calls in the works: what
// hangs, hangs at its own cost.
struct NotifyLimits {
  std::chrono::milliseconds call_timeout{10000};  // then the caller gets EIO
  int calls_in_work = 4;                          // of one container; others wait in the kernel
  std::chrono::milliseconds idle_thread_timeout{10000};
};

// What is done for each call; each worker thread has one of its own.
class CallHandler {
 public:
  virtual ~CallHandler() = default;
  virtual Verdict handle(int listener, const Notification& call, ContainerActions& actions) = 0;
  // False if the thread can serve no more calls and has to end.
  virtual bool is_fit() const { return true; }
};
using MakeHandler = std::function<Result<std::unique_ptr<CallHandler>>(NotifyKernel&)>;

// Threads start with the first listener and wait without waking while nothing is trapped.
class NotifyLoop {
 public:
  // Calls are journaled there, if it is given one; what it says was left unanswered is done by
  // add() of the same listener.
  explicit NotifyLoop(std::shared_ptr<CallJournal> journal = nullptr);
  // For tests, with their own kernel and handlers.
  NotifyLoop(NotifyLimits limits, std::shared_ptr<NotifyKernel> kernel, MakeHandler make_handler,
             std::shared_ptr<CallJournal> journal = nullptr);
  ~NotifyLoop();  // closes all listeners: trapped calls in flight get ENOSYS from the kernel
  NotifyLoop(const NotifyLoop&) = delete;
  NotifyLoop& operator=(const NotifyLoop&) = delete;

  // Serves `listener` until its last filter user is gone (EPOLLHUP); then it is closed and
  // `actions` released. The first call must come from a thread in the host's namespaces.
  // `number` is the caller's, and the listener's name in the journal.
  Result<void> add(UniqueFd listener, std::shared_ptr<ContainerActions> actions,
                   std::uint64_t number = 0);
  // Copies of the container's listeners that have not ended, each with its number.
  std::vector<std::pair<std::uint64_t, UniqueFd>> listeners_of(const std::string& id) const;
  // How often each container called what, since its first listener came.
  std::vector<CountedCall> count_calls() const;
  void set_audit(AuditLevel level);
  // Stops serving the container's listeners and closes them.
  void remove_container(const std::string& id);

 private:
  class Loop;
  std::shared_ptr<Loop> loop_;
};

}  // namespace sysbox::seccomp

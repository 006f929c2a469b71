#pragma once

// Receives the trapped calls of all containers and answers each exactly once.

#include <memory>

#include "common/result.h"
#include "common/unique_fd.h"
#include "seccomp-notify/container_actions.h"

namespace sysbox::seccomp {

// Threads start with the first listener and wait without waking while nothing is trapped.
class NotifyLoop {
 public:
  NotifyLoop();
  ~NotifyLoop();  // closes all listeners: trapped calls in flight get ENOSYS from the kernel
  NotifyLoop(const NotifyLoop&) = delete;
  NotifyLoop& operator=(const NotifyLoop&) = delete;

  // Serves `listener` until its last filter user is gone (EPOLLHUP); then it is closed and
  // `actions` released.
  Result<void> add(UniqueFd listener, std::shared_ptr<ContainerActions> actions);
  // Stops serving the container's listeners and closes them.
  void remove_container(const std::string& id);

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace sysbox::seccomp

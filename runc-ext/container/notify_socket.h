#pragma once

// $NOTIFY_SOCKET (sd_notify(3)): the service manager cannot be reached from inside. The container
// gets a socket of its own, in /run/notify, and the command that starts it passes on that it is
// ready, with the pid that the service manager is to watch.

#include <sys/types.h>

#include <optional>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"
#include "runc-ext/container/state_dir.h"
#include "runc-ext/oci/spec.h"

namespace sysbox::runc {

// For `create`: if our environment has a NOTIFY_SOCKET, makes the socket's directory and adds its
// mount to the spec. Returns the variable for the container's process, or "".
Result<std::string> prepare_notify_socket(const StateDir& directory, OciSpec& spec);

class NotifyProxy {
 public:
  // Binds the container's socket; nothing if there is no NOTIFY_SOCKET now, or was none at
  // `create`.
  static Result<std::optional<NotifyProxy>> open(const StateDir& directory);

  int fd() const { return socket_.get(); }

  // Takes a message. If it says that the container is ready, tells the service manager so, and
  // that it should watch `main_pid`; true then.
  Result<bool> forward(pid_t main_pid);

  // Until the container is ready, or its init has ended.
  Result<void> wait_until_ready(pid_t main_pid, int init_pidfd);

 private:
  NotifyProxy(UniqueFd socket, std::string manager)
      : socket_(std::move(socket)), manager_(std::move(manager)) {}
  Result<void> tell_manager(const std::string& ready_line, pid_t main_pid);

  UniqueFd socket_;
  UniqueFd to_manager_;  // once there was something to tell
  std::string manager_;  // the service manager's address; '@' begins an abstract one
};

}  // namespace sysbox::runc

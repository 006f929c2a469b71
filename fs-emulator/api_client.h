#pragma once

// sysbox-runc's side of io.sysbox.emulator. A daemon that is down is an error within a second
// that says how to start it.

#include <string>
#include <vector>

#include "common/result.h"
#include "fs-emulator/api.h"

namespace sysbox::fs {

class Client {
 public:
  explicit Client(std::string socket_path) : socket_path_(std::move(socket_path)) {}

  // Opens the container's FUSE connection. EEXIST if the id is registered.
  Result<RegisterReply> register_container(const RegisterRequest& request);
  Result<void> start_container(const StartRequest& request);
  // Hands over (a duplicate of) the seccomp listener of a process that runs in the container.
  Result<void> add_listener(const std::string& id, int notify_fd);
  // An unknown id is no error.
  Result<void> unregister_container(const std::string& id);
  Result<std::vector<ListedContainer>> list();

 private:
  std::string socket_path_;
};

}  // namespace sysbox::fs

#pragma once

// sysbox-runc's side of io.sysbox.manager. A daemon that is down is an error within a second
// that says how to start it.

#include <string>

#include "common/result.h"
#include "mgr/api.h"

namespace sysbox::mgr {

class Client {
 public:
  explicit Client(std::string socket_path) : socket_path_(std::move(socket_path)) {}

  Result<RegisterReply> register_container(const RegisterRequest& request);
  // Gives the ids back, and moves the volumes into the upper layer. They stay until the lifeline
  // is gone. An unknown id is no error.
  Result<void> unregister_container(const std::string& id);
  // The container is frozen: its volumes are moved into the upper layer.
  Result<void> pause_container(const std::string& id);
  // It is about to go on: its volumes leave the upper layer.
  Result<void> resume_container(const std::string& id);
  Result<ListReply> list();

 private:
  std::string socket_path_;
};

}  // namespace sysbox::mgr

#pragma once

// The few calls to systemd (org.freedesktop.systemd1(5)) that scopes need. libsystemd is loaded at
// the first use: it and what it needs in turn cost each start of the runtime more than most of its
// commands take, and with the cgroupfs driver nobody needs it.

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "common/result.h"
#include "runc-ext/cgroup/unit_properties.h"

namespace sysbox::runc {

class SystemdBus {
 public:
  // ENOTSUP, with what to do, if the host's process 1 is not systemd.
  static Result<SystemdBus> connect();
  ~SystemdBus();
  SystemdBus(SystemdBus&&) noexcept;
  SystemdBus& operator=(SystemdBus&&) noexcept;
  SystemdBus(const SystemdBus&) = delete;
  SystemdBus& operator=(const SystemdBus&) = delete;

  // 252 for "252.36-1~deb12u1".
  Result<int> version();
  // Makes a scope of running processes and waits until it is there; EEXIST if a unit of that name
  // is loaded already.
  Result<void> start_scope(const std::string& unit, const std::vector<UnitProperty>& properties);
  // Until the next boot.
  Result<void> set_properties(const std::string& unit, const std::vector<UnitProperty>& properties);
  // Waits for its end; that there is no such unit is fine. A failed one is forgotten, too.
  Result<void> stop(const std::string& unit);
  // Lets go of what a failed unit of that name has left; never fails if there is none.
  Result<void> forget_failed(const std::string& unit);

 private:
  struct Connection;
  explicit SystemdBus(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> connection_;
};

}  // namespace sysbox::runc

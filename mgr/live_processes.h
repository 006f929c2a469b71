#pragma once

// What the kernel knows of containers' lives, whatever our own files say: processes whose user
// namespace maps host ids, and whether a process that registered a container still exists.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/id_range.h"
#include "common/result.h"
#include "common/root_dir.h"

namespace sysbox::mgr {

// A process for good: its pid may be another's later, both numbers together never are.
struct ProcessIdentity {
  std::int32_t pid = 0;
  std::uint64_t start_time = 0;  // in clock ticks since boot; 0: unknown

  bool operator==(const ProcessIdentity&) const = default;
};

// Reads a /proc (tests give one of their own).
class LiveProcesses {
 public:
  static Result<LiveProcesses> open(const std::string& proc_path = "/proc");

  // Nothing if no process has this pid.
  std::optional<ProcessIdentity> identify(std::int32_t pid) const;
  bool is_alive(const ProcessIdentity& process) const { return identify(process.pid) == process; }

  // Host ids that user namespaces of running processes map onto others: each range once, sorted.
  // Our own namespace and lines that map ids onto themselves are none of a container.
  Result<std::vector<IdRange>> mapped_uids() const;

  // Who runs under ids of these ranges: in the user namespace with that inode number or one below
  // it, and anywhere else. Processes that have ended and wait to be reaped do not count.
  struct IdUsers {
    bool inside = false;
    std::optional<std::string> outside;  // the pid of one
  };
  Result<IdUsers> users_of(const IdRange& uids, const IdRange& gids,
                           std::uint64_t user_namespace) const;

 private:
  explicit LiveProcesses(RootDir proc) : proc_(std::move(proc)) {}

  RootDir proc_;
};

}  // namespace sysbox::mgr

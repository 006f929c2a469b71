#pragma once

// Notices that the kernel has killed a process of the container for want of memory.

#include <cstdint>

#include "common/result.h"
#include "common/syscalls.h"
#include "common/unique_fd.h"
#include "runc-ext/cgroup/cgroup.h"

namespace sysbox::runc {

class OomWatch {
 public:
  // ENOTSUP if the host has no memory controller.
  static Result<OomWatch> start(const CgroupState& state);

  enum class Event { kNothing, kOutOfMemory, kContainerEnded };
  // kNothing once the deadline has passed.
  Result<Event> wait(Deadline deadline);

 private:
  static Result<OomWatch> start_v1(const std::string& directory);
  static Result<OomWatch> start_v2(const std::string& directory);
  Result<Event> read_v1() const;
  Result<Event> read_v2();

  bool v2_ = false;
  std::string directory_;
  UniqueFd notifications_;  // an eventfd (v1) or inotify's
  UniqueFd oom_control_;    // v1: must stay open
  std::uint64_t kills_ = 0;
};

}  // namespace sysbox::runc

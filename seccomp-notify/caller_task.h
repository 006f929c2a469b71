#pragma once

// Acts as the caller of a trapped call would, in a short-lived task in its user namespace. A thread
// of ours cannot enter that, and by it is decided whether a FUSE that was mounted inside lets one
// in at all, over which files capabilities count, and whose a new file system is.

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "seccomp-notify/tracee.h"

namespace sysbox::seccomp {

struct OpenRequest {
  int dirfd;
  std::string path;
  std::uint64_t flags;        // O_PATH and the like
  std::uint64_t resolve = 0;  // RESOLVE_BENEATH and the like
};

// What a task does as the caller: system calls only, as other threads may have held any lock when
// it was made.
struct TaskWork {
  static constexpr long kNoDescriptor = 1L << 32U;
  long (*step)(const void* arguments);  // a descriptor to return, or kNoDescriptor; -1 and errno
  const void* arguments;
  std::vector<int> descriptors;  // that it needs
};

// In the mount and network namespaces of the calling thread, whose root is `root_fd`, or if
// that is -1 the thread's own. The caller's credentials have to be known. ETIMEDOUT if a file
// system of the container does not answer for long, and EBUSY if too many already have not.
Result<UniqueFd> run_in_task_of(const Caller& caller, int root_fd, TaskWork work);
Result<UniqueFd> open_in_task_of(const Caller& caller, int root_fd, const OpenRequest& request);

}  // namespace sysbox::seccomp

#pragma once

// Opens a place as the caller of a trapped call would, in a short-lived task in its user
// namespace. A thread of ours cannot enter that, and two things are decided by it: whether a FUSE
// that was mounted inside lets one in at all, and over which files capabilities count.

#include <cstdint>
#include <string>

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

// From the mount and network namespaces of the calling thread, whose root is `root_fd`, or if
// that is -1 the thread's own. The caller's credentials have to be known. ETIMEDOUT if a file
// system of the container does not answer for long, and EBUSY if too many already have not.
Result<UniqueFd> open_in_task_of(const Caller& caller, int root_fd, const OpenRequest& request);

}  // namespace sysbox::seccomp

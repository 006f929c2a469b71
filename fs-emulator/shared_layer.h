#pragma once

// One upper layer under two overlays: the engine's, in which it copies files into a running
// container (`docker cp`), and the container's own. The kernel knows nothing of the other one's
// changes: each remembers the names that it has looked up, and a directory that one has copied up
// cannot be copied up by the other (rename(2) onto it: ENOTEMPTY), which then fails to make, change
// or remove anything in it.

#include "common/id_range.h"
#include "common/result.h"
#include "common/syscalls.h"
#include "common/unique_fd.h"

namespace sysbox::fs {

struct SharedLayer {
  UniqueFd engine;  // the engine's overlay, detached
  UniqueFd own;     // the container's, detached: without what is mounted in it
  UniqueFd layer;   // the directory on the host that holds the upper layer and work directories
  UniqueFd upper;   // the upper layer
  IdMap uid_map;    // from the disk's ids to those that `own` shows
  IdMap gid_map;
};

// The overlay of `mount_fd` looks up anew every name that nobody uses. What is used are open files
// and directories, running programs, mount points, and all directories above them.
Result<void> forget_names(int mount_fd);

// After the engine has changed something: no directory is left in which the container's processes
// could change nothing. Those in use whose copy in the upper layer is unknown to the container's
// overlay are set aside, copied up anew by it, and get back what is in them. Returns how many.
// What the engine still has open goes on being written where it was set aside.
Result<unsigned> join_directories(const SharedLayer& shared, Deadline deadline);

enum class SetAside { kKept, kRemoved };
// What came into directories after they were set aside, or was not given back before a crash.
Result<void> give_back(const SharedLayer& shared, SetAside then);

}  // namespace sysbox::fs

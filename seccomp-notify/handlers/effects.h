#pragma once

// Effects of handlers that must come about once, although the daemon may be killed at any moment
// and another one carry out the same call again. The mount's number is the evidence.

#include "common/result.h"
#include "seccomp-notify/tracee.h"
#include "seccomp-notify/visitor.h"

namespace sysbox::seccomp {

// Attaches the detached tree over the place, unless the tree of an earlier try is there.
Result<void> attach_once(const Tracee& tracee, int tree_fd, int place_fd);

// Whether an earlier try has covered the place by a new mount; to be asked before one is made there
// in a way that tells no number beforehand.
Result<bool> was_covered(const Tracee& tracee, const Visit& visit, const std::string& path);

// Whether an earlier try has taken away the mount that was at the place; to be asked before
// anything about the place is.
Result<bool> was_unmounted(const Tracee& tracee, const Visit& visit, const std::string& path,
                           Follow follow);
Result<void> unmount_once(const Tracee& tracee, const Visit& visit, int mount_fd, int flags);

}  // namespace sysbox::seccomp

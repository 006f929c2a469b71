#pragma once

// Id-mapped clones of mounts (mount_setattr(2), MOUNT_ATTR_IDMAP, Linux 5.12): files keep their
// 0-based owners on disk and appear with the container's ids.

#include <string>

#include "common/id_range.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox::runc {

enum class Recursion { kTop, kWhole };

struct ShiftedMount {
  UniqueFd mount;  // detached
  // Why the ids could not be mapped, when the source is shown as it is; empty if all is well.
  std::string unmapped_reason;
};

// A detached clone of the mount at `path_on_host`. Its ids are mapped by the user namespace,
// unless the owner of `path_on_host` is within `uids` already. A file system that cannot be
// id-mapped (devtmpfs, NFS, FUSE without the feature; tmpfs before Linux 6.3) is cloned as it
// is, with the reason.
Result<ShiftedMount> clone_shifted(const std::string& path_on_host, Recursion recursion,
                                   int userns_fd, const IdMap& uids);

// A detached clone whose ids are mapped by the user namespace because the specification says so:
// of the mount itself, or of all below it as well. A file system that cannot do it is an error.
Result<UniqueFd> clone_id_mapped(const std::string& path_on_host, Recursion recursion,
                                 Recursion mapping, int userns_fd);

}  // namespace sysbox::runc

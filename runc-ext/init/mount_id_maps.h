#pragma once

// The id maps that a specification gives for one mount ("uidMappings", "gidMappings"), and the user
// namespace that hands them to mount_setattr(2).

#include "common/id_range.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "runc-ext/oci/linux.h"
#include "runc-ext/oci/mounts.h"

namespace sysbox::runc {

struct MountIdMaps {
  IdMap uids;  // id on disk → the host's id
  IdMap gids;
};

// An engine that gave the container no ids of its own means the container's by "hostID": they are
// translated, and those that the container does not have are left out. EINVAL if none is left.
Result<MountIdMaps> mount_id_maps(const OciMount& mount, const OciLinux& linux_part);

// A user namespace that nobody lives in. The caller must have a single thread.
Result<UniqueFd> make_user_namespace(const MountIdMaps& maps);

}  // namespace sysbox::runc

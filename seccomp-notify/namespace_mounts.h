#pragma once

// All mounts of a mount namespace, also those that no path leads to: after MS_MOVE to "/" and
// chroot(2), as systemd-nspawn does, the old root and all that is mounted below it are still there.
// No mountinfo shows them, but the kernel counts them where it asks whether a procfs is visible.

#include <vector>

#include "common/mount_info.h"
#include "common/result.h"

namespace sysbox::seccomp {

// Targets are as seen from the namespace's first root; propagation, source and superblock options
// are left out. The caller must be in another mount namespace. Linux 6.11; before, an error.
Result<std::vector<MountInfo>> list_mounts_of_namespace(int mount_namespace_fd);

}  // namespace sysbox::seccomp

#pragma once

// Which mounts of a container are made when, decided before anything is mounted. Pure.
//
// Locked mounts are made by the helper before the container's own mount namespace exists: the
// kernel then locks them, so that root inside can neither take them off nor make them writable.
// Free mounts come after, attached by the container's init: a machine's root may unmount them.
// Removable mounts come in between: they reach the container's namespace from the helper's, which
// locks their flags, but not them. Over what is locked the kernel makes no overlay, and no bind
// that leaves it out, so nothing is locked that need not be.

#include <string>
#include <vector>

#include "common/result.h"
#include "runc-ext/oci/spec.h"

namespace sysbox::runc {

struct MountPlan {
  std::vector<OciMount> locked;  // in order
  std::vector<OciMount> removable;
  std::vector<OciMount> free;  // in order, after all locked ones
};

// `host_mount_points`: targets of the host's mountinfo. A recursive bind of a directory that has
// mounts below it is locked as a whole: unmounting one would show what it covers.
// So is a bind of a place in the rootfs itself, which shows the mounts made there before it.
// EINVAL by name if a mount that must be locked lies below one that cannot be (a devpts …).
Result<MountPlan> plan_mounts(const OciSpec& spec,
                              const std::vector<std::string>& host_mount_points);

bool is_device_directory(const OciMount& mount);   // the tmpfs at /dev, with its nodes
bool is_kernel_filesystem(const OciMount& mount);  // proc or sysfs: made with emulated pieces

}  // namespace sysbox::runc

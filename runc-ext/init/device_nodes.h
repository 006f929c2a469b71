#pragma once

// The container's /dev: a tmpfs of the host's user namespace, so that device nodes on it work
// (nodes on a tmpfs of another user namespace cannot be opened: SB_I_NODEV), owned by the
// container's root.

#include "common/result.h"
#include "common/root_dir.h"
#include "common/unique_fd.h"
#include "runc-ext/init/birth_plan.h"

namespace sysbox::runc {

// Detached, with the standard nodes and links, and the spec's devices below /dev. The caller has
// the container root's FilesystemIdentity.
Result<UniqueFd> make_dev(const BirthPlan& plan, const OciMount& mount);

// The spec's devices in other places: nodes on a tmpfs of ours, which is to be attached somewhere
// in the caller's mount namespace (invalid: there are none) …
Result<UniqueFd> make_device_store(const BirthPlan& plan);
// … and bound from there, so that no node of the host's stays in the image. Locked mounts.
Result<void> attach_devices(const BirthPlan& plan, const RootDir& root, int store_fd);

}  // namespace sysbox::runc

#pragma once

// The places in a container's tree that something is mounted on: found, or made, by descriptor, so
// that no link and no rename by others decides what is covered.

#include <string>
#include <vector>

#include "common/result.h"
#include "common/root_dir.h"
#include "common/unique_fd.h"
#include "runc-ext/oci/spec.h"

namespace sysbox::runc {

enum class PlaceKind { kDirectory, kFile };

// The place of an ordinary mount; a missing one is made. Refused: the root itself, and what is
// inside /proc but for a few files that others emulate too (CVE-2019-16884).
Result<UniqueFd> open_mount_point(const RootDir& root, const std::string& destination,
                                  PlaceKind kind);

// The place of a procfs or sysfs: a real directory, no link on the way (CVE-2019-19921,
// CVE-2023-27561).
Result<UniqueFd> open_ordinary_directory(const RootDir& root, const std::string& destination);

// Makes those places that are missing and lie in the rootfs itself, not below another mount. What
// cannot be made is left to who mounts there, and says why.
void make_mount_points(const RootDir& rootfs, const std::vector<OciMount>& mounts);

// Mounts the detached `mount_fd` at `destination`, which is of the kind of the mount's own root.
Result<void> attach_inside(const RootDir& root, const std::string& destination, int mount_fd);

}  // namespace sysbox::runc

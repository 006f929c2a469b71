#pragma once

// linux.maskedPaths and linux.readonlyPaths, as locked mounts of the helper.

#include "common/result.h"
#include "common/root_dir.h"
#include "runc-ext/oci/linux.h"

namespace sysbox::runc {

// A path that is not there is none to hide. Masked: an empty read-only directory, one for all, or
// the null device over it.
Result<void> mask_paths(const OciLinux& linux_part, const RootDir& root);
// Read-only: the path once more over itself.
Result<void> make_paths_read_only(const OciLinux& linux_part, const RootDir& root);

}  // namespace sysbox::runc

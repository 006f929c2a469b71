#pragma once

// tmpfs mounts of the specification: they take over the mode of what they cover, and with
// "tmpcopyup" its content.

#include <string>
#include <vector>

#include "common/result.h"
#include "common/root_dir.h"
#include "common/unique_fd.h"
#include "runc-ext/oci/mounts.h"

namespace sysbox::runc {

// Detached. `more`: options beside the spec's own ("uid=231072").
Result<UniqueFd> new_tmpfs(const RootDir& root, const OciMount& mount,
                           const std::vector<std::string>& more = {});

// A read-only tmpfs is made writable, because mount points have to be made in it, and turns
// read-only once all mounts are there.
bool turns_read_only(const OciMount& mount);
OciMount writable_at_first(const OciMount& mount);
Result<void> make_read_only(int mount_fd);

}  // namespace sysbox::runc

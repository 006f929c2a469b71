#pragma once

// New superblocks of the kernel's own file systems, as detached mounts.

#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "runc-ext/oci/mounts.h"

namespace sysbox::runc {

// A procfs of the pid namespace (procfs's option pidns, Linux 6.17; before that by a child that
// is in it for one system call). Attributes: nosuid, nodev, noexec and those of the mount.
Result<UniqueFd> procfs_of(int pidns_fd, const OciMount& mount);

// A sysfs of the caller's network namespace.
Result<UniqueFd> new_sysfs(const OciMount& mount);

// Any other file system that needs no device, with the mount's data options (fsopen, fsconfig,
// fsmount). `more`: options beside the spec's own ("uid=231072"); a later one wins.
Result<UniqueFd> new_filesystem(const OciMount& mount, const std::vector<std::string>& more = {});

// The mount with linux.mountLabel for its files, where SELinux is at work and the file system takes
// one (procfs, sysfs and cgroups do not).
OciMount with_label(const OciMount& mount, const std::string& label);

// The mount's attribute words for mount_setattr(2).
struct AttributeChange {
  std::uint64_t set = 0;
  std::uint64_t clear = 0;
};
AttributeChange attribute_change(std::uint64_t set, std::uint64_t clear);

// Sets attributes (top, then recursive ones) and propagation of a detached or attached mount.
// Without propagation words the mount gets private.
Result<void> apply_attributes(int mount_fd, const OciMount& mount);

}  // namespace sysbox::runc

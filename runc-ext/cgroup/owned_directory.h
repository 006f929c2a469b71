#pragma once

// Cgroup directories that belong to the container's root.

#include <sys/types.h>

#include <string>

#include "common/result.h"

namespace sysbox::runc {

// Makes a cgroup that belongs to the ids with all its files; gives it to them if it exists.
Result<void> make_owned_cgroup(const std::string& directory, uid_t uid, gid_t gid);

// Gives a v2 cgroup away: the directory and the files that the kernel says may be delegated, none
// of which is a limit.
Result<void> delegate_v2_cgroup(const std::string& directory, uid_t uid, gid_t gid);

}  // namespace sysbox::runc

#pragma once

// `exec --cgroup [CONTROLLER[,CONTROLLER…]:]PATH`: cgroups below the container's own, made by
// somebody inside, that the process is to run in.

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "common/result.h"
#include "runc-ext/cgroup/cgroup.h"

namespace sysbox::runc {

// Controller → path; "" for all hierarchies.
using SubCgroups = std::map<std::string, std::string>;

// EINVAL in runc's words for what is no such flag, or leads out of the container's cgroup.
Result<SubCgroups> parse_sub_cgroups(const std::vector<std::string>& flags);

// Moves the process, which is in the container's cgroup already.
Result<void> enter_sub_cgroups(const CgroupState& cgroup, const SubCgroups& wanted, pid_t pid);

}  // namespace sysbox::runc

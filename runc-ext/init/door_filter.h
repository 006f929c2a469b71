#pragma once

// The seccomp filter that keeps the doors of system_container/seccomp_doors.h shut.

#include <string>
#include <vector>

#include "common/result.h"

namespace sysbox::runc {

// Loads it into the calling process, for all that it executes later, on every architecture that
// the kernel runs programs of. Needs CAP_SYS_ADMIN in its user namespace or no_new_privs.
Result<void> load_door_filter(const std::vector<std::string>& open_doors);

}  // namespace sysbox::runc

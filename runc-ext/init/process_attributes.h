#pragma once

// What a process is given before it runs its program.

#include <sys/types.h>

#include <string>

#include "common/result.h"
#include "runc-ext/oci/process.h"

namespace sysbox::runc {

// From outside, by the host's root (the limits of a user namespace's root do not count there).
// A hard limit that may not be raised (no CAP_SYS_RESOURCE) is set as high as it goes, with a
// warning.
Result<void> apply_rlimits(pid_t pid, const std::vector<OciRlimit>& rlimits);

// By the process itself, inside its namespaces.
// Root of the user namespace, instead of the host's root, whom nobody knows in there.
Result<void> become_container_root();
Result<void> join_session_keyring(const std::string& container_id);
// Changes to the working directory, which is made if it is missing; fails if it is not inside
// the root directory (CVE-2024-21626).
Result<void> enter_working_directory(const std::string& cwd);

// Two steps, between which the seccomp filters are loaded: user and groups first, with the
// capabilities kept, then the final capability sets.
Result<void> take_user(const OciUser& user);
Result<void> drop_bounding_capabilities(const OciCapabilities& capabilities);
Result<void> take_capabilities(const OciCapabilities& capabilities);

}  // namespace sysbox::runc

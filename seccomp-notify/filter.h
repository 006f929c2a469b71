#pragma once

// The filter that hands a container's rare, trapped system calls to sysbox-fs.

#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox::seccomp {

// Loads the notify filter into the calling process (all later exec'ed programs and children
// inherit it) and returns its listener, close-on-exec. The caller needs CAP_SYS_ADMIN in its
// user namespace or no_new_privs. EBUSY: a filter of this chain has a listener already
// (the kernel allows one: seccomp(2), SECCOMP_FILTER_FLAG_NEW_LISTENER).
Result<UniqueFd> load_notify_filter();

}  // namespace sysbox::seccomp

#pragma once

// linux.seccomp → a filter of the kernel.

#include "common/result.h"
#include "common/unique_fd.h"
#include "runc-ext/oci/seccomp.h"

namespace sysbox::runc {

// Loads the profile into the calling process. System calls that libseccomp does not know are
// skipped, as runc does. EINVAL names what cannot be translated. The descriptor is the listener if
// the profile asks for one, else it is not valid.
Result<UniqueFd> load_seccomp_profile(const OciSeccomp& profile);

}  // namespace sysbox::runc

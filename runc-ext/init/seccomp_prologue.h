#pragma once

// What goes before the filter that libseccomp makes of a profile: system calls that are younger
// than the profile, or than libseccomp.

#include <linux/filter.h>

#include <string>
#include <vector>

#include "runc-ext/oci/seccomp.h"

namespace sysbox::runc {

// A call with a higher number than all that the profile names did not exist when the profile was
// written. It fails with ENOSYS, as on an older kernel, so that programs fall back; the profile's
// own default, usually EPERM, would be final for them. Calls that the profile allows by name but
// that libseccomp does not know are let through by number. Empty if the profile allows by default.
// The code falls through to what is appended to it.
std::vector<struct sock_filter> seccomp_prologue(const OciSeccomp& profile);

// libseccomp's token of an architecture ("SCMP_ARCH_X86_64"); 0 if it knows none of that name.
std::uint32_t seccomp_architecture(const std::string& name);

}  // namespace sysbox::runc

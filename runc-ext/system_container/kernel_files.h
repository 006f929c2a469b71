#pragma once

// The running kernel's modules and headers, for programs inside that build or look up modules.

#include <string>

#include "common/root_dir.h"
#include "runc-ext/oci/spec.h"

namespace sysbox::runc {

// Adds read-only mounts of /lib/modules/RELEASE and of the headers' directories, with those that
// they refer to, as far as the host has them and the spec mounts nothing of its own there.
// `host`: the host's root directory.
void add_kernel_files(OciSpec& spec, const RootDir& host, const std::string& release);

}  // namespace sysbox::runc

#pragma once

// The steps of convert_to_system_container(), one file each. Each may run twice: the second time
// it changes nothing.

#include "common/result.h"
#include "runc-ext/oci/spec.h"

namespace sysbox::runc {

enum class Init { kSystemd, kOther };

Result<void> complete_namespaces(OciLinux& linux_part);
Result<void> check_id_mappings(const OciLinux& linux_part);
void grant_capabilities(OciProcess& process);
void complete_environment(OciProcess& process, Init init);
void complete_mounts(std::vector<OciMount>& mounts, Init init);
void unmask_paths(OciLinux& linux_part, Init init);
Result<void> widen_seccomp_profile(OciLinux& linux_part);

}  // namespace sysbox::runc

#pragma once

// The steps of convert_to_system_container(), one file each. Each may run twice: the second time
// it changes nothing.

#include <string>

#include "common/result.h"
#include "runc-ext/oci/spec.h"

namespace sysbox::runc {

enum class Init { kSystemd, kOther };

Result<void> complete_namespaces(OciLinux& linux_part);
// The end of an error line, after "the host's pid namespace": which option of the engine asks for
// it, and what to do instead.
std::string host_sharing_refusal(NamespaceType type);
Result<void> check_id_mappings(const OciLinux& linux_part);
// One block from container id 0, large enough and without the host's root; `path` is for errors.
Result<void> check_map(const std::string& path, const IdMap& map);
void grant_capabilities(OciProcess& process);
void complete_environment(OciProcess& process, Init init);
void complete_mounts(std::vector<OciMount>& mounts, Init init);
void unmask_paths(OciLinux& linux_part, Init init);
Result<void> widen_seccomp_profile(OciLinux& linux_part);

}  // namespace sysbox::runc

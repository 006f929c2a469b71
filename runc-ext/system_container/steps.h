#pragma once

// The steps of convert_to_system_container(), one file each. Each may run twice: the second time
// it changes nothing.

#include <string>

#include "common/result.h"
#include "common/root_dir.h"
#include "runc-ext/oci/spec.h"
#include "runc-ext/system_container/switches.h"

namespace sysbox::runc {

enum class Init { kSystemd, kOther };

// What kind of machine the container is to be.
struct Machine {
  Init init = Init::kOther;
  bool read_only = false;     // its root file system
  bool relaxed = false;       // and nothing else
  bool only_cgroup2 = false;  // on a host with v1 hierarchies too
};

Result<void> complete_namespaces(OciLinux& linux_part);
// The end of an error line, after "the host's pid namespace": which option of the engine asks for
// it, and what to do instead.
std::string host_sharing_refusal(NamespaceType type);
Result<void> check_id_mappings(const OciLinux& linux_part);
// One block from container id 0, large enough and without the host's root; `path` is for errors.
Result<void> check_map(const std::string& path, const IdMap& map);
// All of them for a machine's root, instead of an engine's default set; kAuto keeps any other.
void grant_capabilities(OciProcess& process, Choice honor);
void drop_apparmor_profile(OciProcess& process);
void complete_environment(OciProcess& process, Init init);
// Destinations with the links of the image resolved, so that a mount at /var/run/x is known to
// lie below one at /run.
void resolve_destinations(std::vector<OciMount>& mounts, const RootDir& rootfs);
void complete_mounts(std::vector<OciMount>& mounts, const Machine& machine);
// For a container that is not made a machine: /proc, /sys and cgroups are its own nevertheless.
void guard_machine_places(std::vector<OciMount>& mounts);
void keep_owners(std::vector<OciMount>& mounts, const std::vector<std::string>& destinations);
void confine_devices(OciSpec& spec);
// True if there is a device that a machine without hardware of its own would not have.
bool has_hardware(const OciLinux& linux_part);
void unmask_paths(OciLinux& linux_part, Init init);
Result<void> widen_seccomp_profile(OciLinux& linux_part);

}  // namespace sysbox::runc

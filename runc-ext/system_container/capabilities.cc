#include <linux/capability.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "runc-ext/system_container/convert.h"
#include "runc-ext/system_container/steps.h"

namespace sysbox::runc {
namespace {

constexpr std::uint64_t set_of(std::initializer_list<unsigned> capabilities) {
  std::uint64_t set = 0;
  for (const unsigned capability : capabilities) set |= std::uint64_t{1} << capability;
  return set;
}

// What engines ask for when their user says nothing: CRI-O's list, which those of Docker,
// containerd and Podman contain; and that of a bundle which `runc spec` wrote.
constexpr std::uint64_t kOfEveryEngine =
    set_of({CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_NET_BIND_SERVICE,
            CAP_SETGID, CAP_SETPCAP, CAP_SETUID});
constexpr std::uint64_t kOfRuncSpec = set_of({CAP_AUDIT_WRITE, CAP_KILL, CAP_NET_BIND_SERVICE});

// The AppArmor profiles that engines confine every container with, unless told otherwise. They
// forbid mount; what they protect is protected by the user namespace. A user's own stays.
constexpr std::array<std::string_view, 6> kEnginesProfiles = {
    "buildkit-default", "containers-default", "cri-containerd.apparmor.d",
    "crio-default",     "docker-default",     "nerdctl-default"};

// Fewer capabilities than by default, or ambient ones, are somebody's choice.
bool is_chosen(const OciCapabilities& sets) {
  if (sets.ambient != 0) return true;
  return (sets.bounding & kOfEveryEngine) != kOfEveryEngine && sets.bounding != kOfRuncSpec;
}

}  // namespace

// The capabilities only count inside the container's own user namespace, and a machine's root has
// them all. Its inheritable and ambient sets are empty there as well: filled ones would hand
// capabilities to programs of other users (CVE-2022-29162).
OciCapabilities system_container_capabilities(std::uint32_t container_uid) {
  const std::uint64_t all =
      (std::uint64_t{1} << static_cast<unsigned>(kernel_capability_count())) - 1;
  if (container_uid == 0) return {.bounding = all, .effective = all, .permitted = all};
  return {.bounding = all};
}

void grant_capabilities(OciProcess& process, Choice honor) {
  if (honor == Choice::kYes) return;
  if (honor == Choice::kAuto && process.capabilities && is_chosen(*process.capabilities)) return;
  process.capabilities = system_container_capabilities(process.user.uid);
}

void drop_apparmor_profile(OciProcess& process) {
  const bool of_an_engine =
      std::any_of(kEnginesProfiles.begin(), kEnginesProfiles.end(), [&](std::string_view name) {
        return process.apparmor_profile.starts_with(name);  // Podman's has its version behind it
      });
  if (of_an_engine) process.apparmor_profile.clear();
}

}  // namespace sysbox::runc

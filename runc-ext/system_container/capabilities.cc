#include "runc-ext/system_container/convert.h"
#include "runc-ext/system_container/steps.h"

namespace sysbox::runc {

// Whatever the engine asked for: the capabilities only count inside the container's own user
// namespace, and a machine's root has them all. Its inheritable and ambient sets are empty there
// as well: filled ones would hand capabilities to programs of other users (CVE-2022-29162).
OciCapabilities system_container_capabilities(std::uint32_t container_uid) {
  const std::uint64_t all =
      (std::uint64_t{1} << static_cast<unsigned>(kernel_capability_count())) - 1;
  if (container_uid == 0) return {.bounding = all, .effective = all, .permitted = all};
  return {.bounding = all};
}

void grant_capabilities(OciProcess& process) {
  process.capabilities = system_container_capabilities(process.user.uid);
  // An engine's profile (docker-default) forbids mount; what it protects is protected by the
  // user namespace.
  process.apparmor_profile.clear();
}

}  // namespace sysbox::runc

#include "runc-ext/system_container/convert.h"
#include "runc-ext/system_container/steps.h"

namespace sysbox::runc {

// Whatever the engine asked for: the capabilities only count inside the container's own user
// namespace, and a machine's root has them all. The ambient set keeps them for a root that
// executes as another user through plain files, as inner engines do.
OciCapabilities system_container_capabilities(std::uint32_t container_uid) {
  const std::uint64_t all =
      (std::uint64_t{1} << static_cast<unsigned>(kernel_capability_count())) - 1;
  if (container_uid == 0) return {all, all, all, all, all};
  return {.bounding = all};
}

void grant_capabilities(OciProcess& process) {
  process.capabilities = system_container_capabilities(process.user.uid);
  // An engine's profile (docker-default) forbids mount; what it protects is protected by the
  // user namespace.
  process.apparmor_profile.clear();
}

}  // namespace sysbox::runc

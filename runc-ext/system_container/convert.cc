#include "runc-ext/system_container/convert.h"

#include "runc-ext/system_container/steps.h"

namespace sysbox::runc {

Result<void> convert_to_system_container(OciSpec& spec, const RootDir& rootfs) {
  const bool systemd = spec.process && runs_systemd(spec.process->args, rootfs);
  const Init init = systemd ? Init::kSystemd : Init::kOther;

  TRY(complete_namespaces(spec.linux_part));
  TRY(check_id_mappings(spec.linux_part));
  if (spec.process) {
    grant_capabilities(*spec.process);
    complete_environment(*spec.process, init);
  }
  complete_mounts(spec.mounts, init);
  unmask_paths(spec.linux_part, init);
  return widen_seccomp_profile(spec.linux_part);
}

}  // namespace sysbox::runc

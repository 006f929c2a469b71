#include "runc-ext/system_container/convert.h"

#include <string_view>

#include "common/log.h"
#include "runc-ext/system_container/init_program.h"
#include "runc-ext/system_container/seccomp_doors.h"
#include "runc-ext/system_container/steps.h"

namespace sysbox::runc {
namespace {

constexpr int kFirstWithoutCgroupV1 = 258;  // the systemd release

bool becomes_systemd(const OciSpec& spec, const Switches& switches, const RootDir& rootfs) {
  if (switches.systemd != Choice::kAuto) return switches.systemd == Choice::kYes;
  return spec.process && runs_systemd(*spec.process, rootfs);
}

Machine machine_of(const OciSpec& spec, const Switches& switches, const RootDir& rootfs) {
  Machine machine;
  if (becomes_systemd(spec, switches, rootfs)) machine.init = Init::kSystemd;
  machine.read_only = spec.root_readonly;
  machine.relaxed = switches.relaxed_read_only;
  machine.only_cgroup2 = switches.cgroup == CgroupTree::kV2;
  if (switches.cgroup == CgroupTree::kAuto && machine.init == Init::kSystemd) {
    machine.only_cgroup2 = systemd_release(rootfs).value_or(0) >= kFirstWithoutCgroupV1;
  }
  return machine;
}

// journald watches /dev/kmsg for messages, and from systemd 258 on gives up if it cannot. Ours is
// a null device, which nothing can be waited for on.
InitialFile without_kernel_log() {
  return {"/run", "systemd/journald.conf.d/10-container.conf", "[Journal]\nReadKMsg=no\n"};
}

// systemd makes all mounts shared when it starts a machine, and in a container leaves that to who
// has made it. Services with a mount namespace of their own then see mounts that come later, and
// engines inside can do what they are asked to with `:shared` volumes and Bidirectional mounts.
bool may_share_mounts(std::string_view rootfs_propagation) {
  return rootfs_propagation.empty() || rootfs_propagation.ends_with("slave");
}

Result<void> make_machine(OciSpec& spec, Conversion& conversion, const RootDir& rootfs) {
  const Switches& switches = conversion.switches;
  const Machine machine = machine_of(spec, switches, rootfs);
  if (machine.init == Init::kSystemd) {
    conversion.initial_files.push_back(without_kernel_log());
    conversion.shares_mounts = may_share_mounts(spec.linux_part.rootfs_propagation);
  }
  if (spec.process) {
    grant_capabilities(*spec.process, switches.honor_capabilities);
    drop_apparmor_profile(*spec.process);
    complete_environment(*spec.process, machine.init);
  }
  complete_mounts(spec.mounts, machine);
  unmask_paths(spec.linux_part, machine.init);
  return widen_seccomp_profile(spec.linux_part);
}

}  // namespace

Result<Conversion> convert_to_system_container(OciSpec& spec, const RootDir& rootfs) {
  const std::vector<std::string> env =
      spec.process ? spec.process->env : std::vector<std::string>();
  Conversion conversion;
  conversion.switches = TRY(read_switches(spec.annotations, env));
  const Switches& switches = conversion.switches;
  for (const std::string& line : switches.without_effect) log::warning(line);
  TRY(complete_namespaces(spec.linux_part));
  TRY(check_id_mappings(spec.linux_part));
  resolve_destinations(spec.mounts, rootfs);
  keep_owners(spec.mounts, switches.unshifted);
  confine_devices(spec);
  conversion.shows_hardware = switches.hardware == Choice::kAuto
                                  ? has_hardware(spec.linux_part)
                                  : switches.hardware == Choice::kYes;
  if (switches.system_container) {
    TRY(make_machine(spec, conversion, rootfs));
  } else {
    guard_machine_places(spec.mounts);
  }
  if (spec.linux_part.seccomp) open_doors_in_profile(*spec.linux_part.seccomp, switches.open_doors);
  return conversion;
}

Result<Switches> convert_joining_process(OciProcess& process,
                                         const std::map<std::string, std::string>& annotations,
                                         const std::vector<std::string>& container_env) {
  std::vector<std::string> env = container_env;
  env.insert(env.end(), process.env.begin(), process.env.end());
  Switches switches = TRY(read_switches(annotations, env));
  forget_switches(process.env);
  if (!switches.system_container) return switches;
  grant_capabilities(process, switches.honor_capabilities);
  drop_apparmor_profile(process);
  return switches;
}

}  // namespace sysbox::runc

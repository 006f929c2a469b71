#include "runc-ext/container/destroy.h"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGKILL

#include <cerrno>
#include <utility>

#include "common/log.h"
#include "fs-emulator/api_client.h"
#include "mgr/api_client.h"
#include "runc-ext/cgroup/cgroup.h"
#include "runc-ext/container/hooks.h"
#include "runc-ext/container/record_json.h"
#include "runc-ext/uid_shift/owner_shift.h"

namespace sysbox::runc {
namespace {

// A daemon that is not there holds nothing back: sysbox-fs's sessions ended with it, and
// sysbox-mgr notices at its start that nobody runs under the ids any more.
Result<void> unless_down(Result<void> unregistered) {
  if (unregistered.ok()) return unregistered;
  const int code = unregistered.error().code();
  if (code != ENOENT && code != ECONNREFUSED) return unregistered;
  log::warning(unregistered.error().message());
  return {};
}

}  // namespace

Result<void> destroy_container(const RuntimeOptions& runtime, const StateDir& directory,
                               const ContainerRecord& record) {
  Result<void> first;
  const auto note = [&first](Result<void> result) {
    if (first.ok() && !result.ok()) first = std::move(result);
  };
  const Cgroup cgroup = Cgroup::from_state(record.cgroup);
  if (record.shares_pid_namespace) note(cgroup.kill_all(SIGKILL));
  note(cgroup.remove());
  note(restore_owners(record.rootfs, record.id));
  if (record.emulation_registered) {
    note(unless_down(fs::Client(runtime.emulator_socket).unregister_container(record.id)));
  }
  if (record.ranges_registered) {
    note(unless_down(mgr::Client(runtime.manager_socket).unregister_container(record.id)));
  }
  // What could not be taken away stays on record, for another `delete`.
  if (first.ok()) note(directory.remove());
  return first;
}

void run_poststop_hooks(const ContainerRecord& record) {
  const OciState state = state_of(record, ContainerStatus::kStopped);
  for (const Error& failed :
       run_all_hooks(record.poststop, state, "poststop", place_in_bundle(record.bundle))) {
    log::warning(failed.message());
  }
}

}  // namespace sysbox::runc

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "common/json_fields.h"
#include "common/syscalls.h"
#include "runc-ext/commands/commands.h"
#include "runc-ext/commands/update_flags.h"

namespace sysbox::runc {
namespace {

constexpr auto kLockTimeout = std::chrono::seconds(10);

// As much as a config.json's resources can sensibly be.
constexpr std::size_t kMaxResourcesBytes = 1U << 20U;

Result<OciResources> read_resources(const std::string& path) {
  if (path == "-") {
    const std::string text = TRY(sys::read_all(STDIN_FILENO, kMaxResourcesBytes));
    return parse_resources(TRY(parse_json(text).in("standard input")), "resources");
  }
  const UniqueFd file = TRY(sys::open(path, O_RDONLY));
  const std::string text = TRY(sys::read_all(file.get(), kMaxResourcesBytes).in(path));
  return parse_resources(TRY(parse_json(text).in(path)), "resources");
}

Result<void> refuse_intel_rdt(const UpdateFlags& values) {
  if (!values.l3_cache_schema.empty()) {
    return Error(ENOTSUP, "Intel RDT/CAT: l3 cache schema is not enabled");
  }
  if (!values.mem_bw_schema.empty()) {
    return Error(ENOTSUP, "Intel RDT/MBA: memory bandwidth schema is not enabled");
  }
  return {};
}

}  // namespace

Result<int> update_command(Invocation& call) {
  UpdateFlags values;
  std::string path;
  call.flags.add("--resources,-r", path,
                 "file with linux.resources of config.json, - is standard input; "
                 "the other flags are ignored then");
  add_update_flags(call.flags, values);
  const std::vector<std::string> arguments = TRY(call.parse(1, 1));
  const OciResources resources = TRY(path.empty() ? resources_of(values) : read_resources(path));
  TRY(refuse_intel_rdt(values));

  const StateDir directory = TRY(StateDir::open(call.runtime.root, arguments[0]));
  const UniqueFd lock = TRY(directory.lock(after(kLockTimeout)));
  ContainerView view = TRY(view_container(call.runtime, arguments[0]));
  if (view.state.status == status_name(ContainerStatus::kStopped)) {
    return Error(ESRCH, "container not running");
  }
  Cgroup cgroup = Cgroup::from_state(view.record.cgroup);
  TRY(cgroup.update(resources));
  view.record.cgroup = cgroup.state();
  TRY(directory.save(view.record));
  return 0;
}

}  // namespace sysbox::runc

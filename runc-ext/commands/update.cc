#include <unistd.h>

#include <nlohmann/json.hpp>

#include "common/json_fields.h"
#include "common/syscalls.h"
#include "runc-ext/commands/commands.h"

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

}  // namespace

Result<int> update_command(Invocation& call) {
  std::string path;
  call.flags.add("--resources,-r", path,
                 "file with linux.resources of config.json; - is standard input");
  const std::vector<std::string> arguments = TRY(call.parse(1, 1));
  if (path.empty()) return Error(EINVAL, "--resources is missing");
  const OciResources resources = TRY(read_resources(path));
  const StateDir directory = TRY(StateDir::open(call.runtime.root, arguments[0]));
  const UniqueFd lock = TRY(directory.lock(after(kLockTimeout)));
  const ContainerView view = TRY(view_container(call.runtime, arguments[0]));
  if (view.state.status == status_name(ContainerStatus::kStopped)) {
    return Error(ESRCH, "container not running");
  }
  TRY(Cgroup::from_state(view.record.cgroup).apply(resources));
  return 0;
}

}  // namespace sysbox::runc

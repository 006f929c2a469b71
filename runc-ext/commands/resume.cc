#include "common/log.h"
#include "mgr/api_client.h"
#include "runc-ext/commands/commands.h"

namespace sysbox::runc {
namespace {

constexpr auto kLockTimeout = std::chrono::seconds(10);

}  // namespace

Result<int> resume_command(Invocation& call) {
  const std::vector<std::string> arguments = TRY(call.parse(1, 1));
  const StateDir directory = TRY(StateDir::open(call.runtime.root, arguments[0]));
  const UniqueFd lock = TRY(directory.lock(after(kLockTimeout)));
  const ContainerView view = TRY(view_container(call.runtime, arguments[0]));
  if (view.state.status != status_name(ContainerStatus::kPaused)) {
    return Error(EINVAL, join("container not paused: it is ", view.state.status));
  }
  // It runs as well with its volumes in the upper layer.
  const Result<void> moved =
      mgr::Client(call.runtime.manager_socket).resume_container(arguments[0]);
  if (!moved.ok()) log::warning("volumes stay in the upper layer: ", moved.error().message());
  TRY(Cgroup::from_state(view.record.cgroup).freeze(false));
  return 0;
}

}  // namespace sysbox::runc

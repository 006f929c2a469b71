#include "common/log.h"
#include "mgr/api_client.h"
#include "runc-ext/commands/commands.h"

namespace sysbox::runc {
namespace {

constexpr auto kLockTimeout = std::chrono::seconds(10);

}  // namespace

Result<int> pause_command(Invocation& call) {
  const std::vector<std::string> arguments = TRY(call.parse(1, 1));
  const StateDir directory = TRY(StateDir::open(call.runtime.root, arguments[0]));
  const UniqueFd lock = TRY(directory.lock(after(kLockTimeout)));
  const ContainerView view = TRY(view_container(call.runtime, arguments[0]));
  if (view.state.status != status_name(ContainerStatus::kRunning) &&
      view.state.status != status_name(ContainerStatus::kCreated)) {
    return Error(ESRCH, join("container not running: it is ", view.state.status));
  }
  TRY(Cgroup::from_state(view.record.cgroup).freeze(true));
  // Engines pause a container to make an image from it.
  const Result<void> moved = mgr::Client(call.runtime.manager_socket).pause_container(arguments[0]);
  if (!moved.ok()) {
    log::warning("an image made while the container is paused may lack what is in its volumes: ",
                 moved.error().message());
  }
  return 0;
}

}  // namespace sysbox::runc

#include "runc-ext/container/container.h"

#include <poll.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGKILL

#include <array>

#include "common/log.h"
#include "common/root_dir.h"
#include "runc-ext/container/create.h"
#include "runc-ext/container/destroy.h"
#include "runc-ext/container/foreground.h"
#include "runc-ext/container/hooks.h"
#include "runc-ext/container/notify_socket.h"
#include "runc-ext/container/process_identity.h"
#include "runc-ext/container/record_json.h"

namespace sysbox::runc {
namespace {

constexpr auto kLockTimeout = std::chrono::seconds(10);
constexpr auto kStartTimeout = std::chrono::seconds(10);
constexpr auto kKillTimeout = std::chrono::seconds(10);

std::string absolute(const std::string& path) {
  if (path.starts_with('/')) return clean_path(path);
  const Result<std::string> cwd = sys::readlinkat(AT_FDCWD, "/proc/self/cwd");
  return clean_path((cwd.ok() ? cwd.value() : std::string("/")) + "/" + path);
}

// A container as found on disk and in the kernel.
struct Found {
  StateDir directory;
  ContainerRecord record;
  std::optional<UniqueFd> init;  // a pidfd while the first process lives
  ContainerStatus status = ContainerStatus::kStopped;
};

Result<ContainerStatus> live_status(const StateDir& directory, const ContainerRecord& record) {
  // One that is not started yet can be paused too.
  const Result<bool> frozen = Cgroup::from_state(record.cgroup).frozen();
  if (frozen.ok() && frozen.value()) return ContainerStatus::kPaused;
  if (TRY(directory.has_exec_fifo())) return ContainerStatus::kCreated;
  return ContainerStatus::kRunning;
}

Result<Found> find_container(const RuntimeOptions& runtime, const std::string& id) {
  StateDir directory = TRY(StateDir::open(runtime.root, id));
  ContainerRecord record = TRY(directory.load());
  Found found{std::move(directory), std::move(record), std::nullopt, ContainerStatus::kStopped};
  found.init = open_if_alive(found.record.init_pid, found.record.init_start_time);
  if (found.init) found.status = TRY(live_status(found.directory, found.record));
  return found;
}

// Opens the way for the init that waits at the FIFO, and waits until it has gone through.
Result<void> release_init(const Found& container) {
  const UniqueFd fifo = TRY(container.directory.open_exec_fifo(O_RDONLY | O_NONBLOCK));
  std::array<struct pollfd, 2> waits{{{fifo.get(), POLLIN, 0}, {container.init->get(), POLLIN, 0}}};
  const Deadline deadline = after(kStartTimeout);
  for (;;) {
    const int ready = ::poll(waits.data(), waits.size(), milliseconds_until(deadline));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return last_error("wait for the container's init");
    if (ready == 0) return Error(ETIMEDOUT, "the container's init did not start in time");
    if ((waits[0].revents & POLLIN) != 0) return {};
    if (waits[1].revents != 0) return Error(ESRCH, "the container's init ended before the start");
    // POLLHUP alone: the init has not opened its end yet.
    ::poll(nullptr, 0, 1);
  }
}

// What of a started container is needed once its lock is given back.
struct Started {
  pid_t init_pid = 0;
  UniqueFd init;
  std::optional<NotifyProxy> notify;
};

Result<Started> start_found(Found container) {
  Started started;
  started.init_pid = container.record.init_pid;
  started.notify = TRY(NotifyProxy::open(container.directory));
  TRY(release_init(container));
  TRY(container.directory.remove_exec_fifo());
  const OciState state = state_of(container.record, ContainerStatus::kRunning);
  const Result<void> hooks = run_hooks(container.record.poststart, state, "poststart",
                                       place_in_bundle(container.record.bundle));
  if (!hooks.ok()) {
    static_cast<void>(sys::pidfd_send_signal(container.init->get(), SIGKILL).ok());
    return hooks.error();
  }
  started.init = *std::move(container.init);
  return started;
}

Result<void> wait_until_dead(const UniqueFd& pidfd) {
  return sys::wait_for(pidfd.get(), POLLIN, after(kKillTimeout))
      .in("the container's init does not die");
}

Result<void> destroy_found(const RuntimeOptions& runtime, const Found& container) {
  TRY(destroy_container(runtime, container.directory, container.record));
  run_poststop_hooks(container.record);
  return {};
}

// A container whose state.json cannot be read: what can be known by its name is taken away.
Result<void> force_delete_unreadable(const RuntimeOptions& runtime, const StateDir& directory) {
  ContainerRecord record;
  record.id = directory.id();
  record.ranges_registered = true;
  record.emulation_registered = true;
  return destroy_container(runtime, directory, record);
}

Result<void> delete_locked(const RuntimeOptions& runtime, const StateDir& directory,
                           const std::string& id, bool force) {
  Result<Found> found = find_container(runtime, id);
  if (!found.ok()) {
    if (force && found.error().code() != ENOENT) return force_delete_unreadable(runtime, directory);
    return found.error();
  }
  const Found& container = found.value();
  if (container.init) {
    if (!force && container.status != ContainerStatus::kCreated) {
      return Error(EBUSY, join("cannot delete container ", id,
                               " that is not stopped: ", status_name(container.status)));
    }
    TRY(sys::pidfd_send_signal(container.init->get(), SIGKILL));
    // A frozen process of cgroup v1 does not die.
    if (container.status == ContainerStatus::kPaused) {
      TRY(Cgroup::from_state(container.record.cgroup).freeze(false));
    }
    TRY(wait_until_dead(*container.init));
  }
  return destroy_found(runtime, container);
}

Result<Started> start_locked(const RuntimeOptions& runtime, const std::string& id) {
  const StateDir directory = TRY(StateDir::open(runtime.root, id));
  const UniqueFd lock = TRY(directory.lock(after(kLockTimeout)));
  Found container = TRY(find_container(runtime, id));
  if (container.status == ContainerStatus::kStopped) {
    return Error(ESRCH, "cannot start a container that has stopped");
  }
  if (container.status == ContainerStatus::kPaused) {
    return Error(EBUSY, "cannot start a container in the paused state");
  }
  if (container.status != ContainerStatus::kCreated) {
    return Error(EBUSY, "cannot start an already running container");
  }
  return start_found(std::move(container));
}

}  // namespace

Result<void> create_container(const RuntimeOptions& runtime, const CreateOptions& options) {
  CreateOptions complete = options;
  complete.bundle = absolute(options.bundle);
  TRY(make_container(runtime, complete, Terminal::kHandedOver));
  return {};
}

Result<void> start_container(const RuntimeOptions& runtime, const std::string& id) {
  Started started = TRY(start_locked(runtime, id));
  if (!started.notify) return {};
  return started.notify->wait_until_ready(started.init_pid, started.init.get());
}

Result<int> run_container(const RuntimeOptions& runtime, const RunOptions& options) {
  CreateOptions create = options.create;
  create.bundle = absolute(options.create.bundle);
  const auto give_up = [&](const Error& why) {
    const Result<void> gone = delete_container(runtime, create.id, true);
    if (!gone.ok()) log::warning("delete '", create.id, "': ", gone.error().message());
    return why;
  };
  if (options.detach) {
    TRY(make_container(runtime, create, Terminal::kHandedOver));
    const Result<void> started = start_container(runtime, create.id);
    if (!started.ok()) return give_up(started.error());
    return 0;
  }
  Foreground foreground =
      TRY(Foreground::prepare(options.no_subreaper ? Subreaper::kNo : Subreaper::kYes));
  CreatedContainer created = TRY(make_container(runtime, create, Terminal::kOurs));
  Result<Started> started = start_locked(runtime, create.id);
  if (!started.ok()) return give_up(started.error());
  foreground.forward_notifications(std::move(started.value().notify));
  const int code =
      TRY(foreground.wait_and_forward(created.init_pid, std::move(created.console_master)));
  if (!options.keep) TRY(delete_container(runtime, create.id, false));
  return code;
}

Result<void> kill_container(const RuntimeOptions& runtime, const std::string& id, int signal,
                            bool all) {
  const Found container = TRY(find_container(runtime, id));
  const Cgroup cgroup = Cgroup::from_state(container.record.cgroup);
  // The other processes of a shared pid namespace would outlive the init.
  const bool none_may_stay = signal == SIGKILL && container.record.shares_pid_namespace;
  if (all || none_may_stay) {
    TRY(cgroup.kill_all(signal));
  } else {
    if (!container.init) return Error(ESRCH, "container not running");
    const Result<void> sent = sys::pidfd_send_signal(container.init->get(), signal);
    if (!sent.ok()) {
      return sent.error().code() == ESRCH ? Error(ESRCH, "container not running") : sent.error();
    }
  }
  // A frozen process of cgroup v1 does not die.
  if (signal == SIGKILL && container.status == ContainerStatus::kPaused) {
    return cgroup.freeze(false);
  }
  return {};
}

Result<void> delete_container(const RuntimeOptions& runtime, const std::string& id, bool force) {
  Result<StateDir> directory = StateDir::open(runtime.root, id);
  if (!directory.ok()) {
    if (force && directory.error().code() == ENOENT) return {};
    return directory.error();
  }
  const UniqueFd lock = TRY(directory.value().lock(after(kLockTimeout)));
  return delete_locked(runtime, directory.value(), id, force);
}

Result<ContainerView> view_container(const RuntimeOptions& runtime, const std::string& id) {
  Found container = TRY(find_container(runtime, id));
  return ContainerView{state_of(container.record, container.status), std::move(container.record)};
}

}  // namespace sysbox::runc

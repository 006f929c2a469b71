#include "fs-emulator/container_registry.h"

#include <malloc.h>
#include <poll.h>
#include <sched.h>

#include <algorithm>

#include "common/log.h"
#include "common/syscalls.h"
#include "fs-emulator/emulated_mounts.h"
#include "fs-emulator/mount_locksmith.h"
#include "fs-emulator/system_information.h"
#include "fs-emulator/uts_name.h"

namespace sysbox::fs {
namespace {

bool has_ended(int pidfd) {
  struct pollfd state {
    pidfd, POLLIN, 0
  };
  return ::poll(&state, 1, 0) > 0;
}

// parse_register_request() has seen to it that id 0 is mapped.
std::uint32_t host_root(const IdMap& map) { return map.to_host(0).value_or(0); }

Error unknown_container(const std::string& id) {
  return {ENOENT, join("container '", id,
                       "' is not registered: it was started without sysbox-fs, or sysbox-fs and "
                       "sysbox-mgr were down at once; stop the container and start it again")};
}

// Not kept open: that would keep the network's devices when the container has ended.
Result<UniqueFd> open_network_namespace(const ContainerState& state) {
  const int pid = state.init_pid;
  UniqueFd found = TRY(sys::openat(state.host.proc.fd(), join(pid, "/ns/net"), O_RDONLY));
  if (TRY(sys::fstat(found.get())).st_ino != state.network_namespace) {
    return errno_error(ESRCH, "network namespace of process ", pid);
  }
  return found;
}

Result<ino_t> mount_namespace(const ContainerState& state) {
  const int pid = state.init_pid;
  const UniqueFd mounts = TRY(sys::openat(state.host.proc.fd(), join(pid, "/ns/mnt"), O_RDONLY));
  TRY(open_network_namespace(state));  // it is still the same process
  return TRY(sys::fstat(mounts.get())).st_ino;
}

}  // namespace

ContainerRegistry::ContainerRegistry(const HostFiles& host, FuseLoop& loop, SpareSessions& spares,
                                     seccomp::NotifyLoop& notify_loop, ManagerLink* link,
                                     RequestJournal* journal)
    : host_(host),
      loop_(loop),
      spares_(spares),
      notify_loop_(notify_loop),
      link_(link),
      journal_(journal),
      defaults_(host) {}

ContainerRegistry::~ContainerRegistry() {
  for (const auto& [id, container] : containers_) end(*container);
}

std::shared_ptr<ContainerRegistry::Container> ContainerRegistry::bare_container(
    const RegisterRequest& request) const {
  auto container = std::make_shared<Container>();
  container->identity = std::make_shared<const ContainerIdentity>(ContainerIdentity{
      request.id, request.uid_map, request.gid_map, request.cgroups, request.shows_hardware});
  container->state = std::make_shared<ContainerState>(
      host_, defaults_, request.cgroups, host_root(request.uid_map), host_root(request.gid_map));
  return container;
}

Result<std::shared_ptr<ContainerRegistry::Container>> ContainerRegistry::make_container(
    const RegisterRequest& request, RegisterReply& reply) {
  std::shared_ptr<Container> container = bare_container(request);
  container->session = TRY(spares_.take());
  container->session->belong_to(request.id);
  container->session->tree().assign(container->state);
  // The mounts of a detached tree end with the namespace that it is attached in: sysbox-runc gets
  // another than we keep. The caller's thread serves one connection and nothing else.
  TRY(sys::unshare(CLONE_FS));
  const MountLocksmith* locksmith = TRY(MountLocksmith::instance());
  auto [kept, given] = TRY(locksmith->two_of(container->session->take_mount()));
  reply.pieces = pieces_of_container(host_, request.shows_hardware);
  reply.tree = std::move(given);
  container->tree =
      std::make_shared<const EmulatedTree>(EmulatedTree{reply.pieces, std::move(kept)});
  return container;
}

void ContainerRegistry::end(Container& container) {
  layers_.remove(container.identity->id);
  notify_loop_.remove_container(container.identity->id);
  loop_.remove(*container.session);
}

Result<RegisterReply> ContainerRegistry::register_container(const RegisterRequest& request) {
  {
    const std::lock_guard lock(mutex_);
    // The empty entry keeps a second call for the same id out while this one is at work.
    if (!containers_.emplace(request.id, nullptr).second) {
      return Error(EEXIST, join("container '", request.id, "' is registered already"));
    }
  }
  const auto registered = [&]() -> Result<RegisterReply> {
    RegisterReply reply;
    std::shared_ptr<Container> container = TRY(make_container(request, reply));
    const std::lock_guard lock(mutex_);
    containers_[request.id] = std::move(container);
    most_ = std::max(most_, containers_.size());
    return reply;
  };
  Result<RegisterReply> reply = registered();
  if (!reply.ok()) {
    const std::lock_guard lock(mutex_);
    containers_.erase(request.id);
  }
  return reply;
}

std::shared_ptr<const SharedLayer> ContainerRegistry::shared_layer_of(
    const ContainerIdentity& identity, std::vector<UniqueFd> fds) {
  if (fds.size() != kSharedLayerDescriptors) return nullptr;
  return std::make_shared<const SharedLayer>(SharedLayer{std::move(fds[0]), std::move(fds[1]),
                                                         std::move(fds[2]), std::move(fds[3]),
                                                         identity.uid_map, identity.gid_map});
}

void ContainerRegistry::share_layer(const Container& container, LayerWatch::Since since) {
  if (!container.shared_layer) return;
  const Result<void> added = layers_.add(container.identity->id, container.shared_layer, since);
  if (!added.ok()) {
    log::warning("what the engine copies into the container is not seen at once inside: ",
                 added.error().message());
  }
}

Result<void> ContainerRegistry::start_container(const std::string& id, ContainerInit init,
                                                std::vector<UniqueFd> shared_layer) {
  // The pid is that of the pidfd's process if that still lives after the file was read.
  const Result<std::string> cgroups = host_.proc.read_file(join(init.pid, "/cgroup"));
  // Missing in a kernel without time namespaces.
  const Result<std::string> offsets = host_.proc.read_file(join(init.pid, "/timens_offsets"));
  const ino_t user_namespace = namespace_of(host_.proc, init.pid, "user");
  const ino_t network_namespace = namespace_of(host_.proc, init.pid, "net");
  if (has_ended(init.pidfd.get())) return errno_error(ESRCH, "init of container '", id, "'");
  std::shared_ptr<Container> container;
  {
    const std::lock_guard lock(mutex_);
    const auto found = containers_.find(id);
    if (found == containers_.end() || !found->second) return unknown_container(id);
    container = found->second;
    if (cgroups.ok()) {
      const Result<CgroupMembership> membership = parse_cgroup_membership(cgroups.value());
      if (membership.ok()) container->state->cgroups.learn_own_paths(membership.value());
    }
    container->state->user_namespace = user_namespace;
    container->state->network_namespace = network_namespace;
    container->state->init_pid = init.pid;
    container->state->start_boot_ns = read_clock().boot_ns;
    container->state->boottime_offset_ns =
        offsets.ok() ? parse_boottime_offset(offsets.value()) : 0;
    container->init = std::move(init);
    container->shared_layer = shared_layer_of(*container->identity, std::move(shared_layer));
  }
  share_layer(*container, LayerWatch::Since::kNow);
  if (link_ == nullptr) return {};
  // From here on it survives this process: before its program runs.
  const Result<void> kept = begin_to_keep(*container, cgroups.ok() ? cgroups.value() : "");
  if (kept.ok()) {
    park(*container);
  } else {
    log::error(kept.error().message(), "; the container would not survive a restart of sysbox-fs");
  }
  return {};
}

// With the lock held.
std::shared_ptr<seccomp::ContainerActions> ContainerRegistry::actions_of(Container& container) {
  if (!container.actions) {
    container.actions = make_container_actions(
        container.identity, container.tree,
        LiveFacts{
            [state = container.state](int pid) { return system_information(state->view_of(pid)); },
            [state = container.state](int pid) {
              return state->view_of(pid).cpus().host_cpus.size();
            },
            [state = container.state] { return open_network_namespace(*state); },
            [state = container.state] { return mount_namespace(*state); }});
  }
  return container.actions;
}

Result<void> ContainerRegistry::add_listener(const std::string& id, UniqueFd listener) {
  std::shared_ptr<Container> container;
  std::shared_ptr<seccomp::ContainerActions> actions;
  {
    const std::lock_guard lock(mutex_);
    const auto found = containers_.find(id);
    if (found == containers_.end() || !found->second) return unknown_container(id);
    container = found->second;
    actions = actions_of(*container);
  }
  const std::uint64_t number = container->next_listener++;
  if (container->is_parked) {
    link_->park(id, {{join(mgr::kListenerPrefix, number), listener.get()}});
  }
  return notify_loop_.add(std::move(listener), std::move(actions), number);
}

// With the lock held. The heap does not shrink by itself; to make it do so takes milliseconds.
bool ContainerRegistry::half_have_ended() {
  constexpr std::size_t kWorthIt = 64;
  if (most_ < kWorthIt || containers_.size() > most_ / 2) return false;
  most_ = containers_.size();
  return true;
}

void ContainerRegistry::unregister_container(const std::string& id) {
  std::shared_ptr<Container> container;  // ends without the lock
  bool wants_trim = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = containers_.find(id);
    // One that is being registered belongs to the call that does it.
    if (found == containers_.end() || !found->second) return;
    container = std::move(found->second);
    containers_.erase(found);
    wants_trim = half_have_ended();
  }
  if (container->is_parked) link_->unpark(id);
  end(*container);
  container.reset();
  if (wants_trim) ::malloc_trim(0);
}

std::vector<ListedContainer> ContainerRegistry::list() const {
  std::vector<ListedContainer> listed;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, container] : containers_) {
    if (container) listed.push_back({id, container->init.pid});
  }
  return listed;
}

}  // namespace sysbox::fs

// The part of ContainerRegistry that lets containers outlive this process: what it leaves with
// sysbox-mgr, and how a later process makes the same of it again.

#include <sched.h>

#include <array>
#include <charconv>
#include <thread>

#include "common/log.h"
#include "common/syscalls.h"
#include "fs-emulator/container_record.h"
#include "fs-emulator/container_registry.h"
#include "fs-emulator/emulated_mounts.h"
#include "fs-emulator/kept_state.h"
#include "fs-emulator/mount_locksmith.h"
#include "fs-emulator/uts_name.h"

namespace sysbox::fs {
namespace {

// Names of parked descriptors, beside mgr::kFuseName and the listeners.
constexpr const char* kMountName = "mount";
constexpr const char* kStateName = "state";
constexpr const char* kInitName = "init";
// In the order of StartRequest.
constexpr std::array<const char*, kSharedLayerDescriptors> kSharedLayerNames = {
    "engine-overlay", "own-overlay", "layer", "upper"};

Result<UniqueFd> take(DescriptorsByName& descriptors, std::string_view name) {
  const auto found = descriptors.find(name);
  if (found == descriptors.end()) return Error(EPROTO, join("no descriptor '", name, "'"));
  return std::move(found->second);
}

std::optional<std::uint64_t> listener_number(std::string_view name) {
  if (!name.starts_with(mgr::kListenerPrefix)) return {};
  name.remove_prefix(mgr::kListenerPrefix.size());
  std::uint64_t number = 0;
  const char* const end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data(), end, number);
  if (error != std::errc() || rest != end) return {};
  return number;
}

}  // namespace

Result<void> ContainerRegistry::begin_to_keep(Container& container,
                                              const std::string& init_cgroups) const {
  ContainerRecord record;
  const ContainerIdentity& identity = *container.identity;
  record.request = {identity.id, identity.uid_map, identity.gid_map, identity.cgroups,
                    identity.shows_hardware};
  record.greeting = container.session->greeting();
  record.numbering = NodeList::kNumbering;
  record.start_boot_ns = container.state->start_boot_ns;
  record.boottime_offset_ns = container.state->boottime_offset_ns;
  record.init_pid = container.init.pid;
  record.init_cgroups = init_cgroups;
  std::shared_ptr<KeptState> memory = TRY(KeptState::create());
  TRY(memory->replace(KeptState::Part::kRecord, record_text(record)));
  container.state->keeper.begin(std::move(memory));
  // What was written before.
  container.state->keeper.keep(KeptState::Part::kSettings, [&container] {
    return settings_text(container.state->sysctls.save());
  });
  container.is_parked = true;
  return {};
}

void ContainerRegistry::park(const Container& container) const {
  const std::shared_ptr<KeptState> memory = container.state->keeper.memory();
  const std::string& id = container.identity->id;
  const auto listeners = notify_loop_.listeners_of(id);
  std::vector<mgr::NamedFd> descriptors = {
      {std::string(mgr::kFuseName), container.session->device_fd()},
      {kMountName, container.tree->mount.get()},
      {kStateName, memory->fd()},
      {kInitName, container.init.pidfd.get()}};
  if (const SharedLayer* const shared = container.shared_layer.get()) {
    const std::array fds = {shared->engine.get(), shared->own.get(), shared->layer.get(),
                            shared->upper.get()};
    for (std::size_t i = 0; i < fds.size(); ++i) {
      descriptors.push_back({kSharedLayerNames.at(i), fds.at(i)});
    }
  }
  for (const auto& [number, fd] : listeners) {
    if (descriptors.size() == mgr::kMaxParkedOfOne) break;
    descriptors.push_back({join(mgr::kListenerPrefix, number), fd.get()});
  }
  link_->park(id, descriptors);
}

void ContainerRegistry::park_daemon() {
  std::vector<mgr::NamedFd> descriptors;
  if (journal_ != nullptr) descriptors.push_back({kJournalName, journal_->fd()});
  // It may have to be started, by a thread with file system attributes of its own.
  Result<MountLocksmith*> locksmith = Error(EIO, "workshop for mounts");
  std::thread([&locksmith] {
    if (sys::unshare(CLONE_FS).ok()) locksmith = MountLocksmith::instance();
  }).join();
  if (!locksmith.ok()) {
    log::error(locksmith.error().message());
  } else {
    descriptors.push_back({kWorkshopName, locksmith.value()->workshop()});
    descriptors.push_back({kMirrorName, locksmith.value()->mirror()});
  }
  link_->park(mgr::kDaemonItself, descriptors);
}

void ContainerRegistry::park_all() {
  park_daemon();
  std::vector<std::shared_ptr<Container>> parked;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, container] : containers_) {
      if (container && container->is_parked) parked.push_back(container);
    }
  }
  for (const std::shared_ptr<Container>& container : parked) {
    park(*container);
    const std::string& id = container->identity->id;
    const std::lock_guard lock(mutex_);
    const auto found = containers_.find(id);
    // Unregistered meanwhile: then it has said so before it was parked again.
    if (found == containers_.end() || found->second != container) link_->unpark(id);
  }
}

void ContainerRegistry::take_back(const std::string& owner, DescriptorsByName descriptors) {
  const log::ContainerScope scope(owner);
  {
    // Ours is the newer one. Nobody else may register it from here on.
    const std::lock_guard lock(mutex_);
    if (!containers_.emplace(owner, nullptr).second) return;
  }
  Result<std::shared_ptr<Container>> revived = revive(descriptors);
  const bool is_revived = revived.ok() && revived.value()->identity->id == owner;
  {
    const std::lock_guard lock(mutex_);
    if (is_revived) {
      containers_[owner] = revived.value();
    } else {
      containers_.erase(owner);
    }
  }
  if (!is_revived) {
    log::error("its emulated files and trapped system calls are lost, restart it: ",
               revived.ok() ? "the state is another's" : revived.error().message());
    return link_->unpark(owner);
  }
  revive_listeners(revived.value(), descriptors);
  log::info("taken back from an earlier sysbox-fs");
}

Result<std::shared_ptr<ContainerRegistry::Container>> ContainerRegistry::revive(
    DescriptorsByName& descriptors) {
  UniqueFd state_fd = TRY(take(descriptors, kStateName));
  std::shared_ptr<KeptState> memory = TRY(KeptState::open(std::move(state_fd)));
  const std::string text = TRY(memory->text(KeptState::Part::kRecord));
  const ContainerRecord record = TRY(parse_record(text).in("record"));
  if (record.numbering != NodeList::kNumbering) {
    return Error(EPROTO, "this version of sysbox-fs numbers its files in another way");
  }
  std::shared_ptr<Container> container = bare_container(record.request);
  ContainerState& state = *container->state;
  state.start_boot_ns = record.start_boot_ns;
  state.boottime_offset_ns = record.boottime_offset_ns;
  state.user_namespace = namespace_of(host_.proc, record.init_pid, "user");
  state.network_namespace = namespace_of(host_.proc, record.init_pid, "net");
  state.init_pid = record.init_pid;
  const Result<CgroupMembership> membership = parse_cgroup_membership(record.init_cgroups);
  if (membership.ok()) state.cgroups.learn_own_paths(membership.value());
  const std::string settings = TRY(memory->text(KeptState::Part::kSettings));
  const std::vector<SavedSysctl> saved = TRY(parse_settings(settings).in("settings"));
  state.sysctls.load(saved);
  const std::string history = TRY(memory->text(KeptState::Part::kHistory));
  if (!history.empty() && !state.history.load_saved(history)) {
    log::warning("the history of its counters is of another version, going on without");
  }
  state.keeper.begin(std::move(memory));

  UniqueFd init = TRY(take(descriptors, kInitName));
  container->init = {record.init_pid, std::move(init)};
  UniqueFd mount = TRY(take(descriptors, kMountName));
  container->tree = std::make_shared<const EmulatedTree>(
      EmulatedTree{pieces_of_container(host_, record.request.shows_hardware), std::move(mount)});
  UniqueFd device = TRY(take(descriptors, mgr::kFuseName));
  container->session = TRY(FuseSession::take_over(std::move(device), record.greeting));
  FuseSession& session = *container->session;
  session.tree().assign(container->state);
  session.belong_to(record.request.id);
  if (!session.ask_again() && journal_ != nullptr) {
    for (const std::span<char> request : journal_->unanswered(record.request.id)) {
      session.answer(request);
    }
  }
  container->is_parked = true;
  std::vector<UniqueFd> shared_layer;
  for (const char* const name : kSharedLayerNames) {
    Result<UniqueFd> fd = take(descriptors, name);
    if (fd.ok()) shared_layer.push_back(std::move(fd).value());
  }
  container->shared_layer = shared_layer_of(*container->identity, std::move(shared_layer));
  share_layer(*container, LayerWatch::Since::kEarlier);
  TRY(loop_.add(container->session));
  return container;
}

void ContainerRegistry::revive_listeners(const std::shared_ptr<Container>& container,
                                         DescriptorsByName& descriptors) {
  std::shared_ptr<seccomp::ContainerActions> actions;
  for (auto& [name, fd] : descriptors) {
    const std::optional<std::uint64_t> number = listener_number(name);
    if (!number) continue;
    if (!actions) {
      const std::lock_guard lock(mutex_);
      actions = actions_of(*container);
    }
    container->next_listener = std::max(container->next_listener.load(), *number + 1);
    const Result<void> added = notify_loop_.add(std::move(fd), actions, *number);
    if (!added.ok()) log::error(added.error().message());
  }
}

}  // namespace sysbox::fs

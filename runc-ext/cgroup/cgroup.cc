#include "runc-ext/cgroup/cgroup.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "common/log.h"
#include "common/process_status.h"
#include "common/root_dir.h"
#include "common/syscalls.h"
#include "runc-ext/cgroup/cgroup_tree.h"
#include "runc-ext/cgroup/device_program.h"
#include "runc-ext/cgroup/device_rules.h"
#include "runc-ext/cgroup/limits.h"
#include "runc-ext/cgroup/owned_directory.h"
#include "runc-ext/cgroup/resource_update.h"
#include "runc-ext/cgroup/systemd_scope.h"

namespace sysbox::runc {
namespace {

constexpr std::string_view kDefaultParent = "/sysbox";

using std::chrono::milliseconds;

constexpr const char* kLeaf = "init.scope";  // where systemd puts itself, so it need not move
constexpr const char* kDelegated = "sysbox-delegated";
constexpr milliseconds kKillTimeout{10000};
constexpr milliseconds kFreezeTimeout{10000};
constexpr milliseconds kRemoveTimeout{2000};

bool has_controller(std::string_view hierarchy, std::string_view controller) {
  while (!hierarchy.empty()) {
    const std::size_t end = std::min(hierarchy.find(','), hierarchy.size());
    if (hierarchy.substr(0, end) == controller) return true;
    hierarchy.remove_prefix(std::min(end + 1, hierarchy.size()));
  }
  return false;
}

bool is_systemd_path(const std::string& path) {
  return !path.starts_with('/') && std::count(path.begin(), path.end(), ':') == 2;
}

// True if the runtime itself runs in a user namespace, where only the host may set device rules.
bool in_user_namespace() {
  const std::string map = sys::read_file("/proc/self/uid_map").value_or("");
  return map.find("4294967295") == std::string::npos;
}

// Makes the cgroup and the parents that are missing. Other containers' starts make the same
// parents meanwhile, and their ends remove them.
Result<void> make_path(const std::string& directory) {
  constexpr int kTries = 10;
  for (int i = 0; i < kTries; ++i) {
    if (::mkdir(directory.c_str(), 0755) == 0) return {};
    if (errno != ENOENT) break;
    const Result<void> parent = make_path(directory.substr(0, directory.rfind('/')));
    if (!parent && parent.error().code() != EEXIST) return parent;
  }
  return last_error("mkdir cgroup '", directory, "'");
}

// The parent of containers that no engine gave a place goes with the last of them.
void remove_default_parent(const std::string& directory) {
  const std::string parent = directory.substr(0, directory.rfind('/'));
  if (parent.ends_with(kDefaultParent)) ::rmdir(parent.c_str());
}

// Makes the container's directory anew: one that a crashed runtime left behind could hold its
// limits and children.
Result<void> make_fresh(const std::string& directory) {
  Result<void> made = make_path(directory);
  if (made || made.error().code() != EEXIST) return made;
  TRY(remove_cgroup_tree(directory, after(kRemoveTimeout)));
  return make_path(directory);
}

enum class Existing {
  kRemove,  // a leftover
  kKeep,    // systemd has just made it
};

Result<void> make_in_hierarchy(const CgroupHierarchy& hierarchy, CgroupLayout layout,
                               const std::string& directory, Existing existing) {
  // On a hybrid host the controllers of v2 are the few that nobody has mounted as v1: taking one
  // into use would keep the host from doing so later.
  if (hierarchy.v2 && layout == CgroupLayout::kV2) {
    const std::string parent = directory.substr(0, directory.rfind('/'));
    if (parent != hierarchy.mount_point && ::access(parent.c_str(), F_OK) != 0) {
      const Result<void> made = make_path(parent);
      if (!made && made.error().code() != EEXIST) return made;
    }
    TRY(v2::enable_controllers(hierarchy.mount_point, directory));
  }
  const bool there = existing == Existing::kKeep && ::access(directory.c_str(), F_OK) == 0;
  if (!there) TRY(make_fresh(directory));
  if (!has_controller(hierarchy.name, "cpuset")) return {};
  return v1::fill_cpuset(hierarchy.mount_point, directory);
}

}  // namespace

Result<Cgroup> Cgroup::plan(const CgroupHost& host, const std::string& cgroups_path,
                            const std::string& id) {
  if (is_systemd_path(cgroups_path)) {
    return Error(EINVAL, join("linux.cgroupsPath '", cgroups_path,
                              "' is of systemd's form (slice:prefix:name), but the cgroupfs "
                              "driver is in use: pass --systemd-cgroup, or give the engine the "
                              "cgroupfs driver too"));
  }
  const std::string path = cgroups_path.empty() ? join(kDefaultParent, "/", id) : cgroups_path;
  const std::string below = clean_path(path);
  if (below == "/") {
    return Error(EINVAL, join("linux.cgroupsPath '", cgroups_path, "' is the root of all cgroups"));
  }
  CgroupMembership own;
  if (!path.starts_with('/')) {
    const std::string text = TRY(sys::read_file("/proc/self/cgroup"));
    own = TRY(parse_cgroup_membership(text));
  }
  Cgroup cgroup;
  cgroup.host_ = host;
  for (const CgroupHierarchy& hierarchy : host.hierarchies) {
    std::string directory = hierarchy.mount_point;
    const auto mine = own.find(hierarchy.name);
    if (mine != own.end() && mine->second != "/") directory += mine->second;
    directory += below;
    cgroup.state_.directories[hierarchy.name] = directory;
    cgroup.state_.delegated[hierarchy.name] =
        hierarchy.v2 ? directory : join(directory, "/", kDelegated);
    if (hierarchy.v2) cgroup.state_.leaf = kLeaf;
  }
  return cgroup;
}

Cgroup Cgroup::from_state(CgroupState state) {
  Cgroup cgroup;
  cgroup.state_ = std::move(state);
  return cgroup;
}

std::string Cgroup::v1_directory_of(std::string_view controller) const {
  for (const auto& [name, directory] : state_.directories) {
    if (!name.empty() && has_controller(name, controller)) return directory;
  }
  return "";
}

std::string Cgroup::v1_delegated_directory_of(std::string_view controller) const {
  for (const auto& [name, directory] : state_.delegated) {
    if (!name.empty() && has_controller(name, controller)) return directory;
  }
  return v1_directory_of(controller);
}

std::string Cgroup::v2_directory() const {
  const auto found = state_.directories.find("");
  return found == state_.directories.end() ? "" : found->second;
}

// Before anything is made or changed.
Result<void> Cgroup::check_unused() const {
  for (const auto& [name, directory] : state_.directories) {
    const std::vector<pid_t> pids = TRY(processes_below(directory));
    if (pids.empty()) continue;
    return Error(EBUSY, join("container's cgroup is not empty: '", directory,
                             "' is in use by process ", pids.front(), ", of another container"));
  }
  // The new container's first process would hang in it for ever.
  if (TRY(frozen())) {
    return Error(EBUSY, "container's cgroup unexpectedly frozen: remove it or thaw it");
  }
  return {};
}

Result<void> Cgroup::create() {
  TRY(check_unused());
  if (state_.unit.empty()) return make_directories();
  TRY(start_scope());
  Result<void> made = make_directories();
  if (!made) (void)remove().ok();
  return made;
}

Result<void> Cgroup::make_directories() {
  const Existing existing = state_.unit.empty() ? Existing::kRemove : Existing::kKeep;
  std::vector<std::string> made;
  for (const CgroupHierarchy& hierarchy : host_.hierarchies) {
    const std::string& directory = state_.directories[hierarchy.name];
    Result<void> result = make_in_hierarchy(hierarchy, host_.layout, directory, existing);
    if (result) {
      made.push_back(directory);
      continue;
    }
    for (const std::string& each : made) ::rmdir(each.c_str());  // new, and empty
    ::rmdir(directory.c_str());
    return result;
  }
  fresh_ = true;
  return {};
}

Result<void> Cgroup::apply(const OciResources& resources) {
  visible_.clear();
  state_.resources = resources;
  state_.resources.devices.clear();
  OciResources applied = resources;
  if (!state_.unit.empty()) TRY(set_unit_properties(applied));
  keep_undelegated(applied);
  TRY(apply_limits(applied));
  return apply_devices(resources);
}

Result<void> Cgroup::update(const OciResources& asked) {
  visible_.clear();
  OciResources applied = resources_to_apply(state_.resources, asked);
  if (!state_.unit.empty()) {
    // Systemd would have the limit take effect, and the container killed, before ours is written.
    if (!v2_directory().empty()) TRY(v2::check_usage(v2_directory(), applied.memory));
    TRY(set_unit_properties(applied));
  }
  TRY(apply_limits(applied));
  write_visible_values();
  state_.resources = resources_to_keep(state_.resources, asked);
  return {};
}

void Cgroup::keep_undelegated(const OciResources& resources) {
  for (const LimitKind& kind : limit_kinds()) {
    if (kind.v1_controller == nullptr || kind.flat_on_v1 == nullptr ||
        !kind.flat_on_v1(resources)) {
      continue;
    }
    std::erase_if(state_.delegated, [&kind](const auto& each) {
      return !each.first.empty() && has_controller(each.first, kind.v1_controller);
    });
  }
}

Result<void> Cgroup::apply_limits(const OciResources& resources) {
  for (const LimitKind& kind : limit_kinds()) {
    const Asked asked = kind.asked(resources);
    if (asked == Asked::kNothing) continue;
    const bool tolerate_missing = asked == Asked::kUnlimited;
    const std::string v1 = kind.v1_controller == nullptr ? "" : v1_directory_of(kind.v1_controller);
    if (v1.empty()) {
      const std::string v2 = v2_directory();
      if (!v2.empty() && kind.apply_v2 != nullptr) {
        LimitFiles files(v2, kind.v2_controller, tolerate_missing);
        TRY(kind.apply_v2(files, resources));
      } else if (kind.apply_v2 == nullptr && state_.directories.size() == 1) {
        log::warning(kind.what, ": cgroup v2 has none, ignoring");
      } else if (!tolerate_missing) {
        return Error(ENOTSUP,
                     join(kind.what, ": the host has no ", kind.v1_controller, " controller"));
      }
      continue;
    }
    LimitFiles files(v1, kind.v1_controller, tolerate_missing);
    TRY(kind.apply_v1(files, resources));
    std::vector<std::string> below = {join(v1, "/", kDelegated)};
    if (!fresh_ && kind.flat_on_v1 != nullptr && kind.flat_on_v1(resources)) {
      below = TRY(cgroup_tree(v1));
      if (below.size() > 1) {
        log::warning(kind.what,
                     ": cgroup v1 does not hold it for cgroups that the container "
                     "makes later; set it when the container is created");
      }
    }
    for (const LimitValue& limit : files.written()) {
      for (const std::string& each : below) {
        visible_.push_back({join(each, "/", limit.file), limit.value});
      }
    }
  }
  if (resources.unified.empty()) return {};
  if (state_.directories.size() != 1 || v2_directory().empty()) {
    return Error(EINVAL,
                 "invalid configuration: linux.resources.unified needs a host with nothing but "
                 "cgroup v2");
  }
  return v2::apply_unified(v2_directory(), resources);
}

Result<void> Cgroup::apply_devices(const OciResources& resources) const {
  const std::string v1 = v1_directory_of("devices");
  const std::string v2 = v2_directory();
  Result<void> result;
  if (!v1.empty()) {
    result = v1::set_devices(v1, resources.devices);
    if (!result && result.error().code() == EPERM && !in_user_namespace()) return result;
  } else if (!v2.empty()) {
    result = attach_device_program(v2, TRY(reduce_device_rules(resources.devices)));
  } else {
    result = Error(ENOTSUP, "the host has no devices controller");
  }
  if (result) return {};
  // The container has a user namespace of its own, so it cannot make device nodes, and a node
  // that it was given is one it may use: what is lost is only a rule for a part of the ways.
  const int code = result.error().code();
  if ((code != EPERM && code != ENOTSUP) || needs_enforcement(resources.devices)) return result;
  log::warning(result.error().message(), "; going on without a device cgroup, the container's ",
               "user namespace has no other devices");
  return {};
}

// Refused values do no harm: the limits themselves stand further up.
void Cgroup::write_visible_values() {
  std::vector<VisibleValue> left = std::exchange(visible_, {});
  for (bool progress = true; progress && !left.empty();) {
    // As in LimitFiles::write_dependent(): some are only taken after others.
    const std::size_t before = left.size();
    std::erase_if(
        left, [](const VisibleValue& each) { return sys::write_file(each.path, each.value).ok(); });
    progress = left.size() < before;
  }
}

Result<void> Cgroup::delegate(uid_t host_uid, gid_t host_gid) {
  for (const auto& [name, directory] : state_.delegated) {
    if (!name.empty()) {
      TRY(make_owned_cgroup(directory, host_uid, host_gid));
      continue;
    }
    TRY(delegate_v2_cgroup(directory, host_uid, host_gid));
    TRY(make_owned_cgroup(join(directory, "/", state_.leaf), host_uid, host_gid));
  }
  write_visible_values();
  fresh_ = false;
  return {};
}

// The v2 cgroup that takes processes: the leaf, or where init is if the container has changed it.
Result<std::string> Cgroup::leaf_for(pid_t init_pid) const {
  const std::string leaf = join(v2_directory(), "/", state_.leaf);
  const Result<std::string> enabled = sys::read_file(leaf + "/cgroup.subtree_control");
  if (enabled && enabled.value().find_first_not_of('\n') == std::string::npos) return leaf;
  if (!enabled && enabled.error().code() != ENOENT) return Error(enabled.error());
  // Searched below the container's directory only: the path that /proc would tell is the
  // container's word.
  for (const std::string& each : TRY(cgroup_tree(v2_directory()))) {
    const std::string text = "\n" + sys::read_file(each + "/cgroup.procs").value_or("");
    if (init_pid > 0 && text.find(join("\n", init_pid, "\n")) != std::string::npos) return each;
  }
  return Error(ENOENT,
               join("cgroup '", leaf, "' is gone, and init is not below '", v2_directory(), "'"));
}

Result<CgroupEntrance> Cgroup::open_entrance(pid_t init_pid) const {
  CgroupEntrance entrance;
  for (const auto& [name, directory] : state_.directories) {
    if (name.empty()) continue;
    const auto delegated = state_.delegated.find(name);
    std::string path =
        (delegated == state_.delegated.end() ? directory : delegated->second) + "/tasks";
    UniqueFd fd = TRY(sys::open(path, O_WRONLY));
    entrance.tasks_.push_back({std::move(path), std::move(fd)});
  }
  const std::string root = v2_directory();
  if (root.empty()) return entrance;
  const std::string leaf = init_pid == 0 ? join(root, "/", state_.leaf) : TRY(leaf_for(init_pid));
  entrance.root_ = TRY(sys::open(root, O_PATH | O_DIRECTORY));
  entrance.leaf_ = TRY(sys::open(leaf, O_PATH | O_DIRECTORY));
  entrance.root_procs_ = TRY(sys::open(root + "/cgroup.procs", O_WRONLY));
  entrance.leaf_procs_ = TRY(sys::open(leaf + "/cgroup.procs", O_WRONLY));
  return entrance;
}

Result<std::vector<pid_t>> Cgroup::processes() const {
  // Every process of the container is below its directory in every hierarchy.
  std::string directory = v2_directory();
  if (directory.empty()) directory = v1_directory_of("pids");
  if (directory.empty() && !state_.directories.empty()) {
    directory = state_.directories.begin()->second;
  }
  return processes_below(directory);
}

Result<void> Cgroup::kill_all(int signal) const {
  const std::string freezer = v1_directory_of("freezer");
  const std::string v2 = v2_directory();
  const Deadline deadline = after(kKillTimeout);
  if (signal == SIGKILL && !v2.empty()) TRY(kill_tree_v2(v2, freezer, deadline));
  // A runtime that died between two hierarchies may have left a process in some only.
  for (const auto& [name, directory] : state_.directories) {
    if (name.empty() && signal == SIGKILL) continue;
    TRY(signal_tree(directory, signal, freezer, deadline));
    if (signal != SIGKILL) return {};
  }
  return {};
}

Result<void> Cgroup::freeze(bool frozen) const {
  const Deadline deadline = after(kFreezeTimeout);
  const std::string v1 = v1_directory_of("freezer");
  if (!v1.empty()) return freeze_v1(v1, frozen, deadline);
  const std::string v2 = v2_directory();
  if (!v2.empty()) return freeze_v2(v2, frozen, deadline);
  return Error(ENOTSUP, "the host has no freezer controller");
}

Result<bool> Cgroup::frozen() const {
  const std::string v1 = v1_directory_of("freezer");
  if (v1.empty() && v2_directory().empty()) return false;
  const std::string path = v1.empty() ? v2_directory() + "/cgroup.freeze" : v1 + "/freezer.state";
  const Result<std::string> state = sys::read_file(path);
  if (state) return state.value().starts_with(v1.empty() ? "1" : "FROZEN");
  if (state.error().code() == ENOENT || state.error().code() == ENODEV) return false;
  return Error(state.error());
}

Result<void> Cgroup::remove() const {
  Result<void> first_failure = state_.unit.empty() ? Result<void>() : stop_scope(state_.unit);
  const Deadline deadline = after(kRemoveTimeout);
  for (const auto& [name, directory] : state_.directories) {
    // The usual child first: the parent then goes at once, without a look at what it holds.
    ::rmdir(join(directory, "/", name.empty() ? state_.leaf : kDelegated).c_str());
    Result<void> removed = remove_cgroup_tree(directory, deadline);
    if (!removed && first_failure) first_failure = std::move(removed);
    remove_default_parent(directory);
  }
  return first_failure;
}

}  // namespace sysbox::runc

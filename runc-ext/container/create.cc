#include "runc-ext/container/create.h"

#include <poll.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGKILL
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <ctime>

#include "common/log.h"
#include "common/mount_info.h"
#include "common/root_dir.h"
#include "fs-emulator/api_client.h"
#include "mgr/api_client.h"
#include "runc-ext/container/console.h"
#include "runc-ext/container/destroy.h"
#include "runc-ext/container/handover.h"
#include "runc-ext/container/hooks.h"
#include "runc-ext/container/listen_fds.h"
#include "runc-ext/container/notify_socket.h"
#include "runc-ext/container/process_identity.h"
#include "runc-ext/container/record_json.h"
#include "runc-ext/init/bootstrap.h"
#include "runc-ext/init/mount_points.h"
#include "runc-ext/init/oom_score.h"
#include "runc-ext/init/process_attributes.h"
#include "runc-ext/init/scheduling.h"
#include "runc-ext/init/security_label.h"
#include "runc-ext/system_container/convert.h"
#include "runc-ext/system_container/kernel_files.h"

namespace sysbox::runc {
namespace {

constexpr auto kLockTimeout = std::chrono::seconds(10);

// RFC 3339 with nanoseconds, as runc writes it.
std::string now_text() {
  struct timespec now {};
  static_cast<void>(clock_gettime(CLOCK_REALTIME, &now));
  std::tm utc{};
  gmtime_r(&now.tv_sec, &utc);
  std::array<char, 32> seconds{};
  std::strftime(seconds.data(), seconds.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::string nanoseconds = std::to_string(now.tv_nsec);
  nanoseconds.insert(0, 9 - nanoseconds.size(), '0');
  return join(seconds.data(), ".", nanoseconds, "Z");
}

// Puts the special directories' volumes among the mounts: before the first one that lies below.
void add_volumes(OciSpec& spec, const std::vector<mgr::Volume>& volumes, bool relaxed_read_only) {
  for (const mgr::Volume& volume : volumes) {
    OciMount mount;
    mount.destination = volume.destination;
    mount.source = volume.source;
    mount.type = "bind";
    mount.bind = true;
    if (spec.root_readonly && !relaxed_read_only) mount.attributes_set |= MOUNT_ATTR_RDONLY;
    auto place = spec.mounts.begin();
    while (place != spec.mounts.end() &&
           !is_same_or_below(place->destination, volume.destination)) {
      ++place;
    }
    spec.mounts.insert(place, std::move(mount));
  }
}

// Mount points of the host, if a recursive bind of a directory makes them of interest.
Result<std::vector<std::string>> interesting_mount_points(const OciSpec& spec) {
  bool wanted = false;
  for (const OciMount& mount : spec.mounts) {
    if (!mount.bind || !mount.recursive_bind) continue;
    const Result<struct stat> source = sys::fstatat(AT_FDCWD, mount.source);
    wanted |= source.ok() && S_ISDIR(source.value().st_mode);
  }
  std::vector<std::string> points;
  if (!wanted) return points;
  const std::string text = TRY(sys::read_file("/proc/self/mountinfo"));
  for (MountInfo& mount : TRY(parse_mount_info(text))) points.push_back(std::move(mount.target));
  return points;
}

// A daemon that refused, or is not there, has nothing to be undone; one that did not answer in
// time may have.
template <typename Reply>
bool may_be_registered(const Result<Reply>& reply) {
  return reply.ok() || reply.error().code() == ETIMEDOUT || reply.error().code() == ECONNRESET;
}

// Of FUSE files whose daemon died before sysbox-mgr had what the next one needs to go on.
bool is_of_ended_emulator(const Error& error) {
  return error.code() == ENOTCONN || error.code() == ECONNABORTED;
}

// One container in the making; what has been made is undone unless run() succeeds.
class Creation {
 public:
  Creation(const RuntimeOptions& runtime, const CreateOptions& options, Terminal terminal,
           StateDir directory, int lock_fd)
      : runtime_(runtime),
        options_(options),
        terminal_(terminal),
        directory_(std::move(directory)),
        manager_(runtime.manager_socket),
        emulator_(runtime.emulator_socket),
        handover_(emulator_, options.id) {
    plan_.lock_fd = lock_fd;
  }

  ~Creation() {
    if (finished_) return;
    if (init_pidfd_) {
      static_cast<void>(sys::pidfd_send_signal(init_pidfd_.get(), SIGKILL).ok());
    }
    reap();
    const Result<void> undone = destroy_container(runtime_, directory_, record_);
    if (!undone.ok()) log::warning("undo of a failed create: ", undone.error().message());
    // As after any deletion: hooks that ran before may have left something to take away.
    if (record_.init_pid > 0) run_poststop_hooks(record_);
  }
  Creation(const Creation&) = delete;
  Creation& operator=(const Creation&) = delete;

  Result<CreatedContainer> run() {
    TRY(read_and_convert());
    TRY(handover_.connect(options_.sockets, plan_.spec.linux_part.seccomp));
    TRY(allot());
    TRY(bring_up());
    TRY(finish_init());
    TRY(write_pid_file(options_.pid_file, static_cast<pid_t>(record_.init_pid)));
    finished_ = true;
    return CreatedContainer{static_cast<pid_t>(record_.init_pid), handover_.take_console_master()};
  }

 private:
  // config.json and the image: what the container is to be.
  Result<void> read_and_convert() {
    if (options_.no_pivot) {
      log::warning(
          "--no-pivot: the old root directory is left by pivot_root all the same, "
          "nothing else is safe; ignoring");
    }
    OciSpec& spec = plan_.spec;
    spec = TRY(read_spec(options_.bundle, options_.config));
    if (!spec.process) return Error(EINVAL, "process: is missing, nothing to run");
    TRY(check_console_options(spec.process->terminal, terminal_ == Terminal::kHandedOver,
                              options_.sockets.console));
    plan_.cgroup_host = TRY(find_cgroup_host());
    const RootDir rootfs = TRY(RootDir::open(spec.root_path).in("root.path"));
    const std::string notify_variable = TRY(prepare_notify_socket(directory_, spec));
    Conversion conversion = TRY(convert_to_system_container(spec, rootfs));
    plan_.initial_files = std::move(conversion.initial_files);
    plan_.shares_mounts = conversion.shares_mounts;
    TRY(apply_switches(conversion.switches));
    shows_hardware_ = conversion.shows_hardware;
    plan_.joined = TRY(open_joined_namespaces(spec.linux_part));
    plan_.overlay = TRY(find_overlay(spec.root_path));
    plan_.id = options_.id;
    plan_.preserve_fds = options_.preserve_fds;
    plan_.new_keyring = !options_.no_new_keyring;
    plan_.host_proc = TRY(prepare_security_labels(*spec.process));
    fill_record();
    std::vector<std::string>& env = spec.process->env;
    for (std::string& variable : find_listen_fds().env) env.push_back(std::move(variable));
    if (!notify_variable.empty()) env.push_back(notify_variable);
    return {};
  }

  Result<void> apply_switches(const Switches& switches) {
    plan_.open_doors = switches.open_doors;
    wants_volumes_ = switches.system_container;
    commits_volumes_ = switches.commit_volumes;
    relaxed_read_only_ = switches.relaxed_read_only;
    ids_ = switches.ids;
    oom_score_floor_ = switches.oom_score_floor;
    if (!switches.system_container || !switches.kernel_files) return {};
    const RootDir host = TRY(RootDir::open("/"));
    struct utsname kernel {};
    if (::uname(&kernel) != 0) return last_error("uname");
    add_kernel_files(plan_.spec, host, kernel.release);
    return {};
  }

  void fill_record() {
    const OciSpec& spec = plan_.spec;
    record_.id = options_.id;
    record_.oci_version = spec.oci_version;
    record_.bundle = options_.bundle;
    record_.rootfs = spec.root_path;
    record_.created = now_text();
    record_.annotations = spec.annotations;
    record_.shares_pid_namespace = plan_.joined.find(NamespaceType::kPid) != nullptr;
    record_.seccomp = spec.linux_part.seccomp;
    record_.personality = spec.linux_part.personality;
    record_.process = *spec.process;
    record_.poststart = spec.hooks.poststart;
    record_.poststop = spec.hooks.poststop;
  }

  // Everything the host gives: ids, volumes, cgroups, emulated files. The record says what is
  // about to be made before it is, so that a killed create can be cleaned up by `delete`.
  Result<void> allot() {
    cgroup_ = TRY(plan_cgroup());
    record_.cgroup = cgroup_.state();
    record_.ranges_registered = true;
    record_.emulation_registered = true;
    TRY(directory_.save(record_));
    record_.emulation_registered = false;
    TRY(register_with_manager());
    Result<void> created = cgroup_.create();
    if (!created.ok()) {
      record_.cgroup = {};  // the directories are not ours to take away
      return created;
    }
    TRY(cgroup_.apply(plan_.spec.linux_part.resources).in("linux.resources"));
    TRY(cgroup_.delegate(plan_.root_uid, plan_.root_gid));
    record_.cgroup = cgroup_.state();
    plan_.cgroup = cgroup_.state();
    TRY(register_with_emulator());
    TRY(directory_.make_exec_fifo(plan_.root_uid, plan_.root_gid));
    plan_.exec_fifo = TRY(directory_.open_exec_fifo(O_PATH));
    plan_.cgroup_entrance = TRY(cgroup_.open_entrance());
    const auto mount_points = TRY(interesting_mount_points(plan_.spec));
    plan_.mounts = TRY(plan_mounts(plan_.spec, mount_points));
    return {};
  }

  Result<Cgroup> plan_cgroup() const {
    const std::string& path = plan_.spec.linux_part.cgroups_path;
    if (!runtime_.systemd_cgroup) return Cgroup::plan(plan_.cgroup_host, path, options_.id);
    return Cgroup::plan_scope(plan_.cgroup_host, path, options_.id, plan_.spec.annotations);
  }

  Result<void> register_with_manager() {
    OciLinux& linux_part = plan_.spec.linux_part;
    mgr::RegisterRequest request;
    request.id = options_.id;
    request.rootfs = plan_.spec.root_path;
    request.lifeline = plan_.overlay && !plan_.overlay->upper.empty()
                           ? layer_directory(*plan_.overlay)
                           : plan_.spec.root_path;
    if (const auto& user = plan_.joined.user) {
      linux_part.uid_mappings = user->uids;
      linux_part.gid_mappings = user->gids;
      request.user_namespace = user->inode;
    }
    if (commits_volumes_) request.upper_layer = find_layer_for_images(plan_.overlay);
    // Podman's --userns=auto has shifted the ids of the rootfs itself.
    const struct stat rootfs = TRY(sys::fstatat(AT_FDCWD, plan_.spec.root_path));
    if (linux_part.uid_mappings.to_container(rootfs.st_uid)) plan_.overlay.reset();
    request.given_uids = linux_part.uid_mappings.as_single_range();
    request.given_gids = linux_part.gid_mappings.as_single_range();
    request.ids = ids_;
    for (const OciMount& mount : plan_.spec.mounts) {
      request.own_destinations.push_back(mount.destination);
    }
    if (!wants_volumes_) request.own_destinations.emplace_back("/");
    Result<mgr::RegisterReply> registered = manager_.register_container(request);
    record_.ranges_registered = may_be_registered(registered);
    const mgr::RegisterReply reply = TRY(std::move(registered));
    linux_part.uid_mappings = IdMap::onto(reply.uids);
    linux_part.gid_mappings = IdMap::onto(reply.gids);
    plan_.root_uid = reply.uids.first;
    plan_.root_gid = reply.gids.first;
    record_.uid_map = linux_part.uid_mappings;
    record_.gid_map = linux_part.gid_mappings;
    add_volumes(plan_.spec, reply.volumes, relaxed_read_only_);
    return {};
  }

  Result<void> register_with_emulator() {
    fs::RegisterRequest request;
    request.id = options_.id;
    request.uid_map = record_.uid_map;
    request.gid_map = record_.gid_map;
    request.shows_hardware = shows_hardware_;
    for (const CgroupHierarchy& hierarchy : plan_.cgroup_host.hierarchies) {
      const auto directory = record_.cgroup.directories.find(hierarchy.name);
      if (directory == record_.cgroup.directories.end()) continue;
      if (hierarchy.v2) request.cgroups[""] = directory->second;
      for (const std::string& controller : hierarchy.controllers) {
        if (!hierarchy.v2) request.cgroups[controller] = directory->second;
      }
    }
    Result<fs::RegisterReply> registered = emulator_.register_container(request);
    record_.emulation_registered = may_be_registered(registered);
    emulation_ = TRY(std::move(registered));
    plan_.emulated_tree = emulation_.tree.get();
    for (const fs::Piece& piece : emulation_.pieces) {
      auto& pieces = piece.filesystem == "sysfs" ? plan_.sysfs_pieces : plan_.proc_pieces;
      pieces.push_back({piece.target, emulation_.tree.get(), piece.source});
    }
    return {};
  }

  // The container gets an overlay of its own over the engine's layers. The engine's one remembers
  // which names were missing when somebody asked, as we did for the destinations: what is made in
  // the upper layer behind its back, it fails on with ESTALE (seen with `docker cp` and a volume).
  Result<void> make_mount_points_for_engine() const {
    if (!plan_.overlay || plan_.overlay->upper.empty()) return {};
    const RootDir rootfs = TRY(RootDir::open(plan_.spec.root_path).in("root.path"));
    const mode_t umask = ::umask(022);
    make_mount_points(rootfs, plan_.spec.mounts);
    ::umask(umask);
    return {};
  }

  // The two processes, up to where the old root is gone.
  Result<void> bring_up() {
    TRY(make_mount_points_for_engine());
    plan_.state = state_of(record_, ContainerStatus::kCreating);
    birth_ = TRY(start_birth(plan_));
    plan_.exec_fifo.reset();
    const pid_t pid = TRY(await_init(birth_));
    init_pidfd_ = TRY(sys::pidfd_open(pid));
    record_.init_pid = pid;
    record_.init_start_time = TRY(process_start_time(pid));
    TRY(apply_rlimits(pid, plan_.spec.process->rlimits));
    TRY(forget_cpu_affinity(pid));
    TRY(apply_oom_score(pid, plan_.spec.process->oom_score_adj, oom_score_floor_));
    TRY(directory_.save(record_));
    TRY(birth_.helper_channel.send(Step::kGo));
    TRY(birth_.helper_channel.expect(Step::kHooks, "the mount helper"));
    TRY(run_create_hooks());
    TRY(birth_.helper_channel.send(Step::kGo));
    Result<StepMessage> pivoted = birth_.helper_channel.expect(Step::kPivoted, "the mount helper");
    if (!pivoted.ok()) return reason_of_init(std::move(pivoted).error());
    std::vector<UniqueFd>& fds = pivoted.value().fds;
    if (fds.empty()) return {};
    auto shared = open_shared_layer(plan_.spec.root_path, *plan_.overlay, std::move(fds[0]));
    if (!shared.ok()) log::warning(shared.error().message());
    if (shared.ok()) shared_layer_ = std::move(shared).value();
    return {};
  }

  // What the init itself says, if all that the helper knows is that it has ended.
  Error reason_of_init(Error of_helper) {
    if (!sys::wait_for(birth_.init_channel.fd(), POLLIN, after(std::chrono::seconds(1))).ok()) {
      return of_helper;
    }
    const Result<StepMessage> last = birth_.init_channel.receive("the container's init");
    return last.ok() || last.error().code() == ECONNRESET ? std::move(of_helper) : last.error();
  }

  Result<void> run_create_hooks() {
    const OciHooks& hooks = plan_.spec.hooks;
    if (hooks.prestart.empty() && hooks.create_runtime.empty()) return {};
    const OciState state = state_of(record_, ContainerStatus::kCreating);
    const HookPlace place = place_in_bundle(record_.bundle);
    TRY(run_hooks(hooks.prestart, state, "prestart", place));
    return run_hooks(hooks.create_runtime, state, "createRuntime", place);
  }

  // The init alone, up to where it waits for `start`.
  Result<void> finish_init() {
    if (!plan_.spec.process->terminal) give_stdio_to(host_user(), host_group());
    const auto prepared = [this](const StepMessage& message) -> Result<void> {
      if (message.step != Step::kPrepared) {
        return Error(EPROTO, "the container's init sent an unexpected message");
      }
      Result<void> started = emulator_.start_container(
          {options_.id, record_.init_pid, init_pidfd_.get(), shared_layer_});
      // An init that has ended meanwhile has left its reason in the channel.
      if (!started.ok() && started.error().code() != ESRCH) return started;
      return {};
    };
    handover_.tell_of_process(static_cast<pid_t>(record_.init_pid),
                              state_of(record_, ContainerStatus::kCreating));
    TRY(handover_.follow(birth_.init_channel, "the container's init", prepared));
    reap_helper();
    TRY(handover_.give_pidfd(init_pidfd_.get(), "standard"));
    return apply_scheduling(static_cast<pid_t>(record_.init_pid), *plan_.spec.process);
  }

  uid_t host_user() const {
    return record_.uid_map.to_host(plan_.spec.process->user.uid).value_or(plan_.root_uid);
  }
  gid_t host_group() const {
    return record_.gid_map.to_host(plan_.spec.process->user.gid).value_or(plan_.root_gid);
  }

  void reap_helper() {
    if (birth_.helper > 0) ::waitpid(birth_.helper, nullptr, 0);
    birth_.helper = -1;
  }
  void reap() {
    birth_.helper_channel.close();  // ends a helper that still waits for us
    birth_.init_channel.close();
    reap_helper();
    if (record_.init_pid > 0) ::waitpid(static_cast<pid_t>(record_.init_pid), nullptr, 0);
  }

  const RuntimeOptions& runtime_;
  const CreateOptions& options_;
  Terminal terminal_;
  StateDir directory_;
  mgr::Client manager_;
  fs::Client emulator_;
  BirthPlan plan_;
  ContainerRecord record_;
  Cgroup cgroup_ = Cgroup::from_state({});
  fs::RegisterReply emulation_;
  std::vector<UniqueFd> shared_layer_;  // as in fs::StartRequest
  Birth birth_;
  UniqueFd init_pidfd_;
  Handover handover_;
  bool wants_volumes_ = true;
  bool commits_volumes_ = true;
  bool shows_hardware_ = false;
  bool relaxed_read_only_ = false;
  std::uint32_t ids_ = 0;
  int oom_score_floor_ = 0;
  bool finished_ = false;
};

}  // namespace

Result<CreatedContainer> make_container(const RuntimeOptions& runtime, const CreateOptions& options,
                                        Terminal terminal) {
  StateDir directory = TRY(StateDir::create(runtime.root, options.id));
  const UniqueFd lock = TRY(directory.lock(after(kLockTimeout)));
  Creation creation(runtime, options, terminal, std::move(directory), lock.get());
  Result<CreatedContainer> created = creation.run();
  if (created.ok() || !is_of_ended_emulator(created.error())) return created;
  return std::move(created).error().in("sysbox-fs has ended meanwhile, try again");
}

}  // namespace sysbox::runc

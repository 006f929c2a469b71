#include "runc-ext/init/bootstrap.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGCHLD
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/syscalls.h"
#include "runc-ext/init/container_init.h"
#include "runc-ext/init/filesystem_identity.h"
#include "runc-ext/init/foreign_namespaces.h"
#include "runc-ext/init/rootfs.h"

namespace sysbox::runc {
namespace {

// Namespaces made together with the init; the mount namespace comes later, by design, and the
// cgroup namespace once init sits in its cgroups.
constexpr NamespaceType kMadeByClone[] = {NamespaceType::kUser, NamespaceType::kPid,
                                          NamespaceType::kNetwork, NamespaceType::kIpc,
                                          NamespaceType::kUts};

Result<void> join(const JoinedNamespace& joined) {
  const NamespaceInfo& info = namespace_info(joined.type);
  return sys::setns(joined.fd.get(), info.clone_flag)
      .in(sysbox::join("join ", info.oci_name, " namespace '", joined.path, "'"));
}

bool is_joined(const BirthPlan& plan, NamespaceType type) {
  if (type == NamespaceType::kUser) return plan.joined.user.has_value();
  return plan.joined.find(type) != nullptr;
}

// By the clone too, if the user namespace exists; see init_makes_network().
std::uint64_t clone_flags(const BirthPlan& plan) {
  std::uint64_t flags = 0;
  for (const NamespaceType type : kMadeByClone) {
    if (!is_joined(plan, type) && !(type == NamespaceType::kNetwork && init_makes_network(plan))) {
      flags |= static_cast<std::uint64_t>(namespace_info(type).clone_flag);
    }
  }
  return flags;
}

// A process beside the caller, a child of the caller's parent.
Result<pid_t> clone_sibling(std::uint64_t flags, int cgroup_fd, const char* what) {
  struct clone_args args {};
  args.flags = flags | CLONE_PARENT;
  if (cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(cgroup_fd);
  }
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return last_error("clone ", what, " (flags ", args.flags, ")");
  return static_cast<pid_t>(pid);
}

// What the init runs; a child of the caller's parent, so that it outlives helper and runtime
// and is reaped by the engine's shim.
Result<pid_t> clone_init(const BirthPlan& plan, Channel& to_helper, Channel& to_parent,
                         Channel& helper_end) {
  const pid_t pid =
      TRY(clone_sibling(clone_flags(plan), plan.cgroup_entrance.clone_into_fd(), "init"));
  if (pid == 0) {
    helper_end.close();
    run_container_init(plan, to_helper, to_parent);
  }
  return pid;
}

// The init's ends of the channels, on their way to it.
struct InitChannels {
  Channel& to_helper;
  Channel& to_parent;
  Channel& helper_end;
};

// A user namespace that exists is entered by a process of its own, the *bridge*: namespaces that
// are made must belong to it, so their maker is in it already, and from inside nobody can do the
// helper's work. It brings the cgroup along, which it could not enter from inside either.
Result<void> cross_bridge(const BirthPlan& plan, Channel& bridge_end, InitChannels channels) {
  // The container's other processes may look into neither the bridge nor the init, which starts
  // out with this.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (const JoinedNamespace* pids = plan.joined.find(NamespaceType::kPid)) TRY(join(*pids));
  TRY(sys::setns(plan.joined.user->fd.get(), CLONE_NEWUSER)
          .in(sysbox::join("join the user namespace of ", plan.joined.user->origin)));
  const pid_t init = TRY(clone_sibling(clone_flags(plan), -1, "init"));
  if (init == 0) {
    bridge_end.close();
    channels.helper_end.close();
    run_container_init(plan, channels.to_helper, channels.to_parent);
  }
  return bridge_end.send(Step::kChild, init);
}

Result<pid_t> clone_init_over_bridge(const BirthPlan& plan, Channel& parent,
                                     InitChannels channels) {
  auto [to_bridge, bridge_end] = TRY(Channel::make_pair());
  const pid_t bridge =
      TRY(clone_sibling(0, plan.cgroup_entrance.clone_into_fd(), "into the user namespace"));
  if (bridge == 0) {
    to_bridge.close();
    parent.close();
    const Result<void> crossed = cross_bridge(plan, bridge_end, channels);
    if (!crossed.ok()) bridge_end.send_failure(crossed.error());
    ::_exit(crossed.ok() ? 0 : 1);
  }
  bridge_end.close();
  TRY(parent.send(Step::kBridge, bridge));
  const StepMessage child = TRY(to_bridge.expect(Step::kChild, "the bridge to the user namespace"));
  return static_cast<pid_t>(child.number);
}

Result<void> write_id_maps(const BirthPlan& plan, pid_t pid) {
  if (plan.joined.user) return {};
  const std::string proc = sysbox::join("/proc/", pid, "/");
  TRY(sys::write_file(proc + "uid_map", plan.spec.linux_part.uid_mappings.text()));
  return sys::write_file(proc + "gid_map", plan.spec.linux_part.gid_mappings.text());
}

Result<InitNamespaces> open_namespaces(pid_t pid) {
  const std::string proc = sysbox::join("/proc/", pid, "/ns/");
  InitNamespaces namespaces;
  namespaces.user = TRY(sys::open(proc + "user", O_RDONLY));
  // Of its children: a joined pid namespace is entered by them, and by the init itself it is the
  // same one.
  namespaces.pid = TRY(sys::open(proc + "pid", O_RDONLY));
  return namespaces;
}

// Files below /proc/sys/net are other ones in each network namespace: the emulated pieces must be
// bound over those that the container sees.
Result<void> enter_network_of(pid_t pid) {
  const UniqueFd network = TRY(sys::open(sysbox::join("/proc/", pid, "/ns/net"), O_RDONLY));
  return sys::setns(network.get(), CLONE_NEWNET).in("enter the container's network namespace");
}

Result<void> own_mount_namespace() {
  TRY(sys::unshare(CLONE_NEWNS));
  // Slave: mounts made here stay here, while rslave volumes still follow the host.
  sys::MountAttributes slave;
  slave.propagation = MS_SLAVE;
  return sys::mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, slave);
}

// Joins what the init must be born into. All before the user namespace: an engine's network
// namespace may belong to the host's one, and entering it needs the host's root. Two are
// left to the init: the cgroup namespace, for it goes through its cgroups first, and the mount
// namespace, where nothing of the host's is.
Result<void> join_before_clone(const BirthPlan& plan) {
  for (const JoinedNamespace& joined : plan.joined.others) {
    if (joined.type == NamespaceType::kCgroup || joined.type == NamespaceType::kMount) continue;
    // The bridge itself stays in our pid namespace, where it learns the init's pid as we see it.
    if (joined.type == NamespaceType::kPid && plan.joined.user) continue;
    TRY(join(joined));
  }
  return set_up_foreign_namespaces(plan);
}

Result<void> send_mounts(Channel& init, const std::vector<UniqueFd>& mounts) {
  std::vector<int> borrowed;
  borrowed.reserve(mounts.size());
  for (const UniqueFd& mount : mounts) borrowed.push_back(mount.get());
  return init.send(Step::kMounts, 0, borrowed);
}

// The helper's life after it has told the parent about the init.
Result<void> let_hooks_run(Channel& parent, Channel& init) {
  TRY(parent.send(Step::kHooks));
  TRY(parent.expect(Step::kGo, "sysbox-runc"));
  TRY(init.send(Step::kHooks));
  TRY(init.expect(Step::kGo, "the container's init"));
  return {};
}

// Returns the container's own overlay, if it has one.
Result<UniqueFd> build_mounts(const BirthPlan& plan, pid_t init_pid, Channel& parent,
                              Channel& init) {
  if (is_joined(plan, NamespaceType::kMount)) {  // all is there already
    TRY(let_hooks_run(parent, init));
    TRY(send_mounts(init, {}));
    return UniqueFd();
  }
  const InitNamespaces namespaces = TRY(open_namespaces(init_pid));
  TRY(enter_network_of(init_pid));
  const FilesystemIdentity identity = TRY(FilesystemIdentity::assume(plan.root_uid, plan.root_gid));
  AssembledRootfs rootfs = TRY(assemble_rootfs(plan, namespaces));
  std::vector<UniqueFd> free_mounts = TRY(prepare_free_mounts(plan, rootfs.root, namespaces));
  if (rootfs.sysctls) free_mounts.push_back(std::move(rootfs.sysctls));
  TRY(let_hooks_run(parent, init));
  TRY(pivot_into(rootfs.root));
  if (!rootfs.removable.empty()) TRY(share_root(rootfs.root));
  TRY(send_mounts(init, free_mounts));
  if (!plan.mounts.removable.empty()) {
    TRY(init.expect(Step::kGo, "the container's init"));
    if (!rootfs.removable.empty()) TRY(attach_removable(rootfs.root, rootfs.removable));
    TRY(init.send(Step::kGo));
  }
  return std::move(rootfs.overlay);
}

Result<void> run_helper(const BirthPlan& plan, Channel& parent, Channel& init_to_parent) {
  auto [to_init, init_to_helper] = TRY(Channel::make_pair());
  log::debug("nsexec container setup: namespaces and mounts of '", plan.id, "'");
  TRY(own_mount_namespace());
  TRY(join_before_clone(plan));
  const pid_t init =
      plan.joined.user
          ? TRY(clone_init_over_bridge(plan, parent, {init_to_helper, init_to_parent, to_init}))
          : TRY(clone_init(plan, init_to_helper, init_to_parent, to_init));
  init_to_helper.close();
  init_to_parent.close();
  TRY(write_id_maps(plan, init));
  TRY(parent.send(Step::kChild, init));
  TRY(parent.expect(Step::kGo, "sysbox-runc"));
  TRY(to_init.send(Step::kGo));
  if (init_makes_network(plan)) TRY(to_init.expect(Step::kNetwork, "the container's init"));
  const Result<UniqueFd> built = build_mounts(plan, init, parent, to_init);
  if (!built.ok()) {
    to_init.send_failure(built.error());
    return built.error();
  }
  const int overlay = built.value().get();
  TRY(parent.send(Step::kPivoted, 0, std::span(&overlay, overlay >= 0 ? 1 : 0)));
  // Ends with the mount namespaces that the init has left; an init that fails tells the parent.
  static_cast<void>(to_init.expect(Step::kGo, "the container's init").ok());
  return {};
}

}  // namespace

Result<Birth> start_birth(const BirthPlan& plan) {
  auto [to_helper, helper_to_parent] = TRY(Channel::make_pair());
  auto [to_init, init_to_parent] = TRY(Channel::make_pair());
  const pid_t pid = ::fork();
  if (pid < 0) return last_error("fork");
  if (pid == 0) {
    to_helper.close();
    to_init.close();
    if (plan.lock_fd >= 0) ::close(plan.lock_fd);
    const Result<void> done = run_helper(plan, helper_to_parent, init_to_parent);
    if (done.ok()) ::_exit(0);
    helper_to_parent.send_failure(done.error());
    ::_exit(1);
  }
  return Birth{pid, std::move(to_helper), std::move(to_init)};
}

Result<pid_t> await_init(Birth& birth) {
  StepMessage message = TRY(birth.helper_channel.receive("the mount helper"));
  if (message.step == Step::kBridge) {
    ::waitpid(static_cast<pid_t>(message.number), nullptr, 0);
    message = TRY(birth.helper_channel.receive("the mount helper"));
  }
  if (message.step != Step::kChild) return Error(EPROTO, "the mount helper told of no init");
  return static_cast<pid_t>(message.number);
}

}  // namespace sysbox::runc

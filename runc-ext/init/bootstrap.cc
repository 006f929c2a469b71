#include "runc-ext/init/bootstrap.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGCHLD
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/syscalls.h"
#include "runc-ext/init/container_init.h"
#include "runc-ext/init/filesystem_identity.h"
#include "runc-ext/init/rootfs.h"

namespace sysbox::runc {
namespace {

// Namespaces made together with the init; the mount namespace comes later, by design, and the
// cgroup namespace once init sits in its cgroups.
constexpr NamespaceType kMadeByClone[] = {NamespaceType::kUser, NamespaceType::kPid,
                                          NamespaceType::kNetwork, NamespaceType::kIpc,
                                          NamespaceType::kUts};

const OciNamespace* joined(const BirthPlan& plan, NamespaceType type) {
  const OciNamespace* found = plan.spec.linux_part.find_namespace(type);
  return found != nullptr && !found->path.empty() ? found : nullptr;
}

Result<void> join(const OciNamespace& space) {
  const NamespaceInfo& info = namespace_info(space.type);
  const UniqueFd fd = TRY(sys::open(space.path, O_RDONLY));
  return sys::setns(fd.get(), info.clone_flag)
      .in(sysbox::join("join ", info.oci_name, " namespace '", space.path, "'"));
}

std::uint64_t clone_flags(const BirthPlan& plan) {
  std::uint64_t flags = 0;
  for (const NamespaceType type : kMadeByClone) {
    if (joined(plan, type) == nullptr) {
      flags |= static_cast<std::uint64_t>(namespace_info(type).clone_flag);
    }
  }
  return flags;
}

// What the init runs; a child of the caller's parent, so that it outlives helper and runtime
// and is reaped by the engine's shim.
Result<pid_t> clone_init(const BirthPlan& plan, Channel& to_helper, Channel& to_parent,
                         Channel& helper_end) {
  struct clone_args args {};
  args.flags = clone_flags(plan) | CLONE_PARENT;
  if (plan.cgroup_entrance.clone_into_fd() >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(plan.cgroup_entrance.clone_into_fd());
  }
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return last_error("clone init (flags ", args.flags, ")");
  if (pid == 0) {
    helper_end.close();
    run_container_init(plan, to_helper, to_parent);
  }
  return static_cast<pid_t>(pid);
}

Result<void> write_id_maps(const BirthPlan& plan, pid_t pid) {
  if (joined(plan, NamespaceType::kUser) != nullptr) return {};
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

// Joins what the init must be born into. Network before user: an engine's network namespace may
// belong to the host's user namespace, and entering it needs the host's root.
Result<void> join_before_clone(const BirthPlan& plan) {
  for (const NamespaceType type :
       {NamespaceType::kNetwork, NamespaceType::kIpc, NamespaceType::kUts, NamespaceType::kPid}) {
    if (const OciNamespace* space = joined(plan, type)) TRY(join(*space));
  }
  return {};
}

Result<void> send_mounts(Channel& init, const std::vector<UniqueFd>& mounts) {
  std::vector<int> borrowed;
  borrowed.reserve(mounts.size());
  for (const UniqueFd& mount : mounts) borrowed.push_back(mount.get());
  return init.send(Step::kMounts, 0, borrowed);
}

// The helper's life after it has told the parent about the init.
Result<void> build_mounts(const BirthPlan& plan, pid_t init_pid, Channel& parent, Channel& init) {
  const InitNamespaces namespaces = TRY(open_namespaces(init_pid));
  TRY(enter_network_of(init_pid));
  const FilesystemIdentity identity = TRY(FilesystemIdentity::assume(plan.root_uid, plan.root_gid));
  const RootDir root = TRY(assemble_rootfs(plan, namespaces));
  const std::vector<UniqueFd> free_mounts = TRY(prepare_free_mounts(plan, namespaces));
  TRY(parent.send(Step::kHooks));
  TRY(parent.expect(Step::kGo, "sysbox-runc"));
  TRY(init.send(Step::kHooks));
  TRY(init.expect(Step::kGo, "the container's init"));
  TRY(pivot_into(root));
  return send_mounts(init, free_mounts);
}

Result<void> run_helper(const BirthPlan& plan, Channel& parent, Channel& init_to_parent) {
  auto [to_init, init_to_helper] = TRY(Channel::make_pair());
  TRY(own_mount_namespace());
  TRY(join_before_clone(plan));
  const pid_t init = TRY(clone_init(plan, init_to_helper, init_to_parent, to_init));
  init_to_helper.close();
  init_to_parent.close();
  TRY(write_id_maps(plan, init));
  TRY(parent.send(Step::kChild, init));
  TRY(parent.expect(Step::kGo, "sysbox-runc"));
  TRY(to_init.send(Step::kGo));
  Result<void> built = build_mounts(plan, init, parent, to_init);
  if (!built.ok()) to_init.send_failure(built.error());
  return built;
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
    if (done.ok()) {
      const Result<void> sent = helper_to_parent.send(Step::kPivoted);
      ::_exit(sent.ok() ? 0 : 1);
    }
    helper_to_parent.send_failure(done.error());
    ::_exit(1);
  }
  return Birth{pid, std::move(to_helper), std::move(to_init)};
}

}  // namespace sysbox::runc

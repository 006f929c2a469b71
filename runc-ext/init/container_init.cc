#include "runc-ext/init/container_init.h"

#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/log.h"
#include "common/root_dir.h"
#include "common/syscalls.h"
#include "runc-ext/container/hooks.h"
#include "runc-ext/container/state_dir.h"
#include "runc-ext/init/foreign_namespaces.h"
#include "runc-ext/init/free_mounts.h"
#include "runc-ext/init/kernel_filesystems.h"
#include "runc-ext/init/process_attributes.h"
#include "runc-ext/init/rootfs.h"
#include "runc-ext/init/run_program.h"
#include "runc-ext/init/sysctls.h"
#include "runc-ext/init/terminal.h"

namespace sysbox::runc {
namespace {

constexpr int kProgramMissing = 127;  // the shell's word for a program that cannot be run

Result<void> enter_cgroup_namespace(const BirthPlan& plan) {
  const JoinedNamespace* joined = plan.joined.find(NamespaceType::kCgroup);
  if (joined == nullptr) return plan.cgroup_entrance.unshare_namespace();
  return sys::setns(joined->fd.get(), CLONE_NEWCGROUP)
      .in(join("join cgroup namespace '", joined->path, "'"));
}

// The time namespace is entered by execve; a kernel without them (CONFIG_TIME_NS) has nothing to
// isolate unless offsets were asked for.
Result<void> enter_time_namespace(const BirthPlan& plan) {
  if (plan.joined.find(NamespaceType::kTime) != nullptr) return {};
  const auto& offsets = plan.spec.linux_part.time_offsets;
  const Result<void> made = sys::unshare(CLONE_NEWTIME);
  if (!made.ok()) {
    if (offsets.empty() && made.error().code() == EINVAL) return {};
    return made.error();
  }
  std::string text;
  for (const auto& [clock, offset] : offsets) {
    text += join(clock, " ", offset.seconds, " ", offset.nanoseconds, "\n");
  }
  if (text.empty()) return {};
  // The files of an undumpable process belong to the host's root. Nobody else is in the container
  // yet who could make use of the moment.
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  Result<void> written = sys::write_file("/proc/self/timens_offsets", text).in("linux.timeOffsets");
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return written;
}

Result<void> set_root_propagation(const BirthPlan& plan) {
  OciMount words;
  apply_mount_option(words, plan.spec.linux_part.rootfs_propagation);
  // A slave that is shared too still receives.
  if (plan.shares_mounts) apply_mount_option(words, "rshared");
  if (words.propagation.empty()) return {};
  const UniqueFd root = TRY(sys::open("/", O_PATH));
  return apply_attributes(root.get(), words);
}

// Hooks that run in the container see the pid that the process has in there.
OciState inner_state(const BirthPlan& plan, ContainerStatus status) {
  OciState state = plan.state;
  state.status = status_name(status);
  state.pid = ::getpid();
  return state;
}

Result<void> run_create_container_hooks(const BirthPlan& plan) {
  const std::vector<OciHook>& hooks = plan.spec.hooks.create_container;
  if (hooks.empty()) return {};
  const HookPlace place{plan.spec.root_path, {}};
  return run_hooks(hooks, inner_state(plan, ContainerStatus::kCreating), "createContainer", place);
}

// Mountinfo lists mounts in the order in which they were made, and a copy of the tree makes them in
// the order of config.json: the locked ones, which came first, and the free ones in one row. A copy
// for the same user namespace locks nothing more. The helper ends with the old mount namespace in
// its hands: whoever drops the last reference waits for RCU, some milliseconds on a busy machine.
Result<void> list_mounts_in_order(Channel& helper) {
  const UniqueFd before = TRY(sys::open("/proc/self/ns/mnt", O_RDONLY));
  TRY(sys::unshare(CLONE_NEWNS));
  const int passed[] = {before.get()};
  TRY(helper.send(Step::kGo, 0, passed));
  helper.close();
  return {};
}

// Another container's root and mounts, as they are.
Result<void> join_mount_namespace(const JoinedNamespace& joined) {
  return sys::setns(joined.fd.get(), CLONE_NEWNS)
      .in(join("join mount namespace '", joined.path, "'"));
}

// The one kind of propagation that a copy does not have (seen on Linux 6.18).
Result<void> make_unbindable_again(const BirthPlan& plan) {
  const RootDir root = TRY(RootDir::open("/"));
  for (const auto* mounts : {&plan.mounts.locked, &plan.mounts.free}) {
    for (const OciMount& mount : *mounts) {
      if (mount.propagation.empty()) continue;
      const std::uint64_t word = mount.propagation.back();
      if ((word & MS_UNBINDABLE) == 0) continue;
      const UniqueFd place = TRY(root.open_inside(mount.destination, O_PATH));
      sys::MountAttributes attributes;
      attributes.propagation = MS_UNBINDABLE;
      TRY(sys::mount_setattr(place.get(), "", (word & MS_REC) != 0 ? AT_RECURSIVE : 0, attributes)
              .in(mount.destination));
    }
  }
  return {};
}

// Until all mounts are there. Gives the sysctls as they were before they became read-only, if there
// are any to be set.
Result<UniqueFd> join_the_container(const BirthPlan& plan, Channel& helper) {
  TRY(helper.expect(Step::kGo, "the mount helper"));
  if (init_makes_network(plan)) {
    TRY(sys::unshare(CLONE_NEWNET));
    TRY(helper.send(Step::kNetwork));
  }
  TRY(plan.cgroup_entrance.enter(plan.cgroup_entrance.clone_into_fd() >= 0 ? BornInLeaf::kYes
                                                                           : BornInLeaf::kNo));
  TRY(become_container_root());
  TRY(helper.expect(Step::kHooks, "the mount helper"));
  TRY(run_create_container_hooks(plan));
  TRY(helper.send(Step::kGo));
  StepMessage mounts = TRY(helper.expect(Step::kMounts, "the mount helper"));
  // pivot_root moved our root directory along; the old working directory is still the host's.
  if (::chdir("/") != 0) return last_error("chdir /");
  TRY(enter_cgroup_namespace(plan));
  if (const auto* joined = plan.joined.find(NamespaceType::kMount)) {
    helper.close();
    TRY(join_mount_namespace(*joined));
    return UniqueFd();
  }
  TRY(sys::unshare(CLONE_NEWNS));
  if (!plan.mounts.removable.empty()) {
    TRY(helper.send(Step::kGo));
    TRY(helper.expect(Step::kGo, "the mount helper"));
  }
  UniqueFd sysctls;
  if (needs_writable_sysctls(plan) && !mounts.fds.empty()) {
    sysctls = std::move(mounts.fds.back());
    mounts.fds.pop_back();
  }
  TRY(make_free_mounts(plan, std::move(mounts.fds)));
  TRY(list_mounts_in_order(helper));
  TRY(set_root_propagation(plan));
  TRY(make_unbindable_again(plan));
  const RootDir root = TRY(RootDir::open("/"));
  TRY(write_initial_files(root, plan.initial_files));
  return sysctls;
}

// Blocks until `start` opens the other end. The path resolves in the container's locked procfs.
Result<void> wait_for_start(int exec_fifo) {
  const UniqueFd fifo = TRY(sys::open(fd_path(exec_fifo), O_WRONLY).in("exec fifo"));
  return sys::write_all(fifo.get(), "0");
}

Result<void> become_the_program(const BirthPlan& plan, Channel& parent, UniqueFd sysctls) {
  const OciProcess& process = *plan.spec.process;
  if (::setsid() < 0 && errno != EPERM) return last_error("setsid");
  if (plan.new_keyring) TRY(join_session_keyring(plan.id));
  const bool has_own_dev = plan.joined.find(NamespaceType::kMount) == nullptr;
  TRY(set_up_terminal(process, has_own_dev ? ConsoleNode::kReplace : ConsoleNode::kKeep, parent));
  if (!plan.joined.is_foreign(NamespaceType::kUts)) TRY(set_names(plan.spec));
  TRY(set_sysctls(plan, std::move(sysctls)));
  TRY(enter_time_namespace(plan));
  TRY(enter_working_directory(process.cwd));
  const std::string program = TRY(find_program(process));
  const std::vector<std::string> environment = program_environment(process);
  const ProgramSetup setup{process,
                           environment,
                           plan.spec.linux_part.seccomp,
                           plan.open_doors,
                           plan.spec.linux_part.personality,
                           plan.host_proc,
                           plan.preserve_fds};
  TRY(close_other_descriptors(plan.preserve_fds,
                              {parent.fd(), plan.exec_fifo.get(),
                               plan.host_proc ? plan.host_proc->get() : -1, log::output_fd()}));
  TRY(take_identity(setup, parent));
  log::debug("init: closing the pipe to signal completion, waiting to be started");
  TRY(parent.send(Step::kReady));
  parent.close();
  // From here on the program's own standard error is what reaches somebody.
  log::reset_output();
  TRY(wait_for_start(plan.exec_fifo.get()));
  if (!plan.spec.hooks.start_container.empty()) {
    TRY(run_hooks(plan.spec.hooks.start_container, inner_state(plan, ContainerStatus::kCreated),
                  "startContainer", HookPlace{"", environment}));
  }
  return run_program(program, setup);
}

}  // namespace

void run_container_init(const BirthPlan& plan, Channel& helper, Channel& parent) {
  // Nobody inside may look into this process while it still holds what is the host's.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  log::debug("child process in init(): the first of container '", plan.id, "'");
  Result<UniqueFd> joined = join_the_container(plan, helper);
  Result<void> done = joined.ok() ? parent.send(Step::kPrepared) : joined.error();
  if (done.ok()) done = become_the_program(plan, parent, std::move(joined).value());
  if (parent.fd() >= 0) {
    parent.send_failure(done.error());
  } else {
    // Nothing can be done about a standard error that cannot be written.
    [[maybe_unused]] const Result<void> told =
        sys::write_all(STDERR_FILENO, done.error().message() + "\n");
  }
  ::_exit(kProgramMissing);
}

}  // namespace sysbox::runc

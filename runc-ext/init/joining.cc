#include "runc-ext/init/joining.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGCHLD
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"
#include "common/syscalls.h"
#include "runc-ext/init/process_attributes.h"
#include "runc-ext/init/run_program.h"
#include "runc-ext/init/scheduling.h"
#include "runc-ext/init/terminal.h"

namespace sysbox::runc {
namespace {

constexpr int kProgramMissing = 127;

constexpr int kNamespaces = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                            CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWCGROUP;

// setns(2) of a pidfd (Linux 5.8) enters all at once, in the right order and with the rights that
// we have before.
Result<void> enter_namespaces(int init_pidfd) {
  Result<void> all = sys::setns(init_pidfd, kNamespaces | CLONE_NEWTIME);
  if (all.ok() || all.error().code() != EINVAL) return all;
  return sys::setns(init_pidfd, kNamespaces);  // a kernel without time namespaces
}

Result<void> become_the_program(const JoinPlan& plan, Channel& parent) {
  TRY(parent.expect(Step::kGo, "sysbox-runc"));
  log::debug("child process in init(): an exec into container '", plan.id, "'");
  if (::setsid() < 0 && errno != EPERM) return last_error("setsid");
  TRY(join_session_keyring(plan.id));
  TRY(set_up_terminal(plan.process, ConsoleNode::kKeep, parent));
  TRY(enter_working_directory(plan.process.cwd));
  const std::string program = TRY(find_program(plan.process));
  const std::vector<std::string> environment = program_environment(plan.process);
  const ProgramSetup setup{plan.process,     environment,    plan.seccomp,     plan.open_doors,
                           plan.personality, plan.host_proc, plan.preserve_fds};
  TRY(take_identity(setup, parent));
  TRY(parent.send(Step::kReady));
  TRY(parent.expect(Step::kGo, "sysbox-runc"));
  log::debug("setns_init: about to exec '", program, "'");
  return run_program(program, setup);
}

[[noreturn]] void run_process(const JoinPlan& plan, Channel& parent) {
  const Result<void> done = become_the_program(plan, parent);
  parent.send_failure(done.error());
  ::_exit(kProgramMissing);
}

// Before anything enters a cgroup: a container's may allow none of these CPUs. Debug lines name
// nsexec, the step of runc that people look for in its log.
Result<void> take_initial_affinity(const OciCpuAffinity& affinity) {
  if (affinity.initial.empty()) return {};
  TRY(apply_cpu_affinity(0, affinity.initial));
  log::debug("nsexec[", ::getpid(), "]: affinity: ", cpu_mask_text(affinity.initial));
  return {};
}

Result<void> run_joiner(const JoinPlan& plan, Channel& parent, Channel& process_to_parent) {
  log::debug("nsexec container setup: joining container '", plan.id, "'");
  TRY(plan.cgroup_entrance.enter(plan.cgroup_entrance.clone_into_fd() >= 0 ? BornInLeaf::kYes
                                                                           : BornInLeaf::kNo));
  // Nobody inside may look into this process while it still holds what is the host's.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  TRY(enter_namespaces(plan.init_pidfd.get()).in("join the container"));
  TRY(become_container_root());
  struct clone_args args {};
  args.flags = CLONE_PARENT;
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return last_error("clone into the container");
  if (pid == 0) {
    parent.close();
    run_process(plan, process_to_parent);
  }
  return parent.send(Step::kChild, pid);
}

}  // namespace

Result<Joining> start_joining(const JoinPlan& plan) {
  TRY(take_initial_affinity(plan.process.exec_cpu_affinity));
  auto [to_joiner, joiner_to_parent] = TRY(Channel::make_pair());
  auto [to_process, process_to_parent] = TRY(Channel::make_pair());
  struct clone_args args {};
  args.exit_signal = SIGCHLD;
  if (plan.cgroup_entrance.clone_into_fd() >= 0) {
    args.flags = CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(plan.cgroup_entrance.clone_into_fd());
  }
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
  if (pid < 0) return last_error("clone into the container's cgroup");
  if (pid == 0) {
    to_joiner.close();
    to_process.close();
    const Result<void> done = run_joiner(plan, joiner_to_parent, process_to_parent);
    if (!done.ok()) joiner_to_parent.send_failure(done.error());
    ::_exit(done.ok() ? 0 : 1);
  }
  return Joining{pid, std::move(to_joiner), std::move(to_process)};
}

}  // namespace sysbox::runc

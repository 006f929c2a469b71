#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGKILL
#include <sys/wait.h>

#include "fs-emulator/api_client.h"
#include "runc-ext/container/console.h"
#include "runc-ext/container/container.h"
#include "runc-ext/container/foreground.h"
#include "runc-ext/container/handover.h"
#include "runc-ext/container/process_identity.h"
#include "runc-ext/container/record_json.h"
#include "runc-ext/init/joining.h"
#include "runc-ext/init/oom_score.h"
#include "runc-ext/init/process_attributes.h"
#include "runc-ext/init/scheduling.h"
#include "runc-ext/init/security_label.h"

namespace sysbox::runc {
namespace {

// One process on its way into the container; killed unless it got there.
class Execution {
 public:
  Execution(const RuntimeOptions& runtime, const ExecOptions& options, ContainerRecord record)
      : options_(options),
        record_(std::move(record)),
        emulator_(runtime.emulator_socket),
        handover_(emulator_, record_.id) {}
  ~Execution() {
    joining_.joiner_channel.close();
    joining_.process_channel.close();
    if (pid_ > 0 && !running_) {
      static_cast<void>(::kill(pid_, SIGKILL));
      ::waitpid(pid_, nullptr, 0);
    }
    if (joining_.joiner > 0) ::waitpid(joining_.joiner, nullptr, 0);
  }
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;

  Result<void> run(UniqueFd init_pidfd) {
    TRY(handover_.connect(options_.sockets, record_.seccomp));
    plan_.host_proc = TRY(prepare_security_labels(options_.process));
    plan_.process = options_.process;
    plan_.seccomp = record_.seccomp;
    plan_.open_doors = options_.open_doors;
    plan_.personality = record_.personality;
    plan_.id = record_.id;
    plan_.init_pidfd = std::move(init_pidfd);
    plan_.preserve_fds = options_.preserve_fds;
    TRY(join());
    TRY(set_attributes());
    handover_.tell_of_process(pid_, state_of(record_, ContainerStatus::kRunning));
    TRY(handover_.follow(joining_.process_channel, "the process", unexpected));
    TRY(apply_scheduling(pid_, plan_.process));
    TRY(give_pidfd());
    TRY(write_pid_file(options_.pid_file, pid_));
    TRY(joining_.process_channel.send(Step::kGo));
    TRY(await_execve());
    running_ = true;
    return {};
  }

  pid_t pid() const { return pid_; }
  UniqueFd take_console() { return handover_.take_console_master(); }

 private:
  static Result<void> unexpected(const StepMessage& /*message*/) {
    return Error(EPROTO, "the process sent an unexpected message");
  }

  Result<void> give_pidfd() {
    if (options_.sockets.pidfd.empty()) return {};
    const UniqueFd pidfd = TRY(sys::pidfd_open(pid_));
    return handover_.give_pidfd(pidfd.get(), "setns");
  }

  Result<void> set_affinity() const {
    const OciCpuAffinity& affinity = plan_.process.exec_cpu_affinity;
    if (!affinity.final.empty()) return apply_cpu_affinity(pid_, affinity.final);
    return affinity.initial.empty() ? forget_cpu_affinity(pid_) : Result<void>();
  }

  Result<void> join() {
    plan_.cgroup_entrance = TRY(Cgroup::from_state(record_.cgroup).open_entrance(record_.init_pid));
    joining_ = TRY(start_joining(plan_));
    const StepMessage child =
        TRY(joining_.joiner_channel.expect(Step::kChild, "the joining process"));
    pid_ = static_cast<pid_t>(child.number);
    return {};
  }

  Result<void> set_attributes() {
    const OciProcess& process = plan_.process;
    TRY(enter_sub_cgroups(record_.cgroup, options_.sub_cgroups, pid_));
    TRY(set_affinity());
    TRY(apply_rlimits(pid_, process.rlimits));
    TRY(apply_oom_score(pid_, process.oom_score_adj, options_.oom_score_floor));
    if (!process.terminal) {
      const auto uid = record_.uid_map.to_host(process.user.uid);
      const auto gid = record_.gid_map.to_host(process.user.gid);
      if (!uid || !gid) {
        return Error(EINVAL, sysbox::join("process.user: ", process.user.uid, ":", process.user.gid,
                                          " is not mapped in the container"));
      }
      give_stdio_to(*uid, *gid);
    }
    return joining_.process_channel.send(Step::kGo);
  }

  // The channel's end means that execve closed it; a failure comes as a message.
  Result<void> await_execve() {
    const Result<StepMessage> message = joining_.process_channel.receive("the process");
    if (!message.ok() && message.error().code() != ECONNRESET) return message.error();
    return {};
  }

  const ExecOptions& options_;
  ContainerRecord record_;
  fs::Client emulator_;
  JoinPlan plan_;
  Joining joining_;
  Handover handover_;
  pid_t pid_ = -1;
  bool running_ = false;
};

// Whether a container of that status can be entered; runc's words.
Result<void> check_exec_status(const std::string& status, bool ignore_paused) {
  if (status == status_name(ContainerStatus::kStopped)) {
    return Error(ESRCH, "cannot exec in a stopped container");
  }
  if (status == status_name(ContainerStatus::kPaused) && !ignore_paused) {
    return Error(EBUSY, "cannot exec in a paused container (use --ignore-paused to override)");
  }
  return {};
}

}  // namespace

Result<int> exec_in_container(const RuntimeOptions& runtime, const ExecOptions& options) {
  TRY(check_console_options(options.process.terminal, options.detach, options.sockets.console));
  ContainerView view = TRY(view_container(runtime, options.id));
  TRY(check_exec_status(view.state.status, options.ignore_paused));
  std::optional<UniqueFd> init = open_if_alive(view.record.init_pid, view.record.init_start_time);
  if (!init) return Error(ESRCH, "cannot exec in a stopped container");
  std::optional<Foreground> foreground;
  if (!options.detach) {
    foreground.emplace(
        TRY(Foreground::prepare(options.no_subreaper ? Subreaper::kNo : Subreaper::kYes)));
  }
  Execution execution(runtime, options, std::move(view.record));
  TRY(execution.run(*std::move(init)));
  if (options.detach) return 0;
  return foreground->wait_and_forward(execution.pid(), execution.take_console());
}

}  // namespace sysbox::runc

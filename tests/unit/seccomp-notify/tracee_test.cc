#include "seccomp-notify/tracee.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>

#include "common/syscalls.h"

namespace sysbox::seccomp {
namespace {

// Memory that parent and children have at the same address, each its own.
std::array<char, 64> place{};
constexpr char kUntouched = 'u';

// Says that the caller waits, and does something just after it has said so.
class KernelWithASurprise : public NotifyKernel {
 public:
  explicit KernelWithASurprise(std::function<void()> surprise) : surprise_(std::move(surprise)) {}
  Result<Notification> receive(int /*listener*/, std::span<std::byte> /*raw*/) override {
    return errno_error(ENOSYS, "receive");
  }
  bool is_waiting(int /*listener*/, std::uint64_t /*id*/) override {
    if (surprise_) surprise_();
    return true;
  }
  Result<void> answer(int /*listener*/, std::uint64_t /*id*/, const Verdict& /*verdict*/) override {
    return errno_error(ENOSYS, "answer");
  }

 private:
  std::function<void()> surprise_;
};

// A child that waits for SIGUSR1 and then ends, with 0 if its memory is as it was.
pid_t start_task() {
  sigset_t signals{};
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGUSR1);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  const pid_t task = ::fork();
  if (task != 0) return task;
  int signal = 0;
  ::sigwait(&signals, &signal);
  ::_exit(place[0] == kUntouched ? 0 : 1);
}
int end_of(pid_t task) {
  ::kill(task, SIGUSR1);
  int status = 0;
  ::waitpid(task, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

struct Outcome {
  bool could_be_arranged = false;
  bool write_failed = false;
  bool reading_failed = false;
  int other_task = -1;
};

// In a pid namespace of its own, where the next pid can be chosen.
Outcome write_to_a_pid_taken_by_another() {
  Outcome outcome;
  place.fill(kUntouched);
  if (::mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("proc", "/proc", "proc", 0, nullptr) != 0) {
    return outcome;
  }
  Result<HostView> host = HostView::open();
  if (!host.ok()) return outcome;
  const pid_t caller = start_task();
  pid_t other = 0;
  KernelWithASurprise kernel([&] {
    if (other != 0) return;
    ::kill(caller, SIGKILL);
    ::waitpid(caller, nullptr, 0);
    const Result<void> chosen =
        sys::write_file("/proc/sys/kernel/ns_last_pid", std::to_string(caller - 1));
    other = chosen.ok() ? start_task() : -1;
  });
  Notification call;
  call.tid_on_host = caller;
  const Tracee tracee(kernel, host.value(), -1, call);
  const auto address = reinterpret_cast<std::uint64_t>(place.data());
  outcome.write_failed = !tracee.write(address, "written").ok();
  outcome.could_be_arranged = other == caller;
  if (outcome.could_be_arranged) outcome.other_task = end_of(other);
  return outcome;
}

TEST(Tracee, WritesToItsCallerAndNobodyElse) {
  place.fill(kUntouched);
  const Result<HostView> host = HostView::open();
  ASSERT_TRUE(host.ok()) << host.error().message();
  const pid_t caller = start_task();
  KernelWithASurprise kernel({});
  Notification call;
  call.tid_on_host = caller;
  const Tracee tracee(kernel, host.value(), -1, call);
  const auto address = reinterpret_cast<std::uint64_t>(place.data());
  EXPECT_TRUE(tracee.write(address, "written").ok());
  const Result<void> refused = tracee.write(8, "written");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), EFAULT);
  EXPECT_EQ(end_of(caller), 1) << "not written";
}

TEST(Tracee, LeavesAloneWhoeverHasTheCallersPidNext) {
  Outcome* const outcome = static_cast<Outcome*>(
      ::mmap(nullptr, sizeof(Outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(outcome, MAP_FAILED);
  const pid_t outer = ::fork();
  if (outer == 0) {
    if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) ::_exit(1);
    const pid_t inner = ::fork();
    if (inner == 0) {
      *outcome = write_to_a_pid_taken_by_another();
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(inner, &status, 0);
    ::_exit(WIFEXITED(status) ? 0 : 1);
  }
  int status = 0;
  ::waitpid(outer, &status, 0);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "needs root";
  if (!outcome->could_be_arranged) GTEST_SKIP() << "this kernel lets nobody choose a pid";
  EXPECT_TRUE(outcome->write_failed);
  EXPECT_EQ(outcome->other_task, 0) << "the memory of another process was written to";
  ::munmap(outcome, sizeof(Outcome));
}

}  // namespace
}  // namespace sysbox::seccomp

#include "runc-ext/cgroup/scope_keeper.h"

#include <linux/sched.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sysbox::runc {
namespace {

[[noreturn]] void keep(pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);  // it has ended before
  ::prctl(PR_SET_NAME, "sysbox-keeper");
  for (;;) ::pause();
}

}  // namespace

Result<ScopeKeeper> ScopeKeeper::start() {
  clone_args arguments = {};
  arguments.exit_signal = SIGCHLD;
  const pid_t parent = ::getpid();
  const long child = ::syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (child == 0) keep(parent);
  if (child < 0) return last_error("clone3 for the container's scope");
  ScopeKeeper keeper;
  keeper.pid_ = static_cast<pid_t>(child);
  return keeper;
}

void ScopeKeeper::end() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

}  // namespace sysbox::runc

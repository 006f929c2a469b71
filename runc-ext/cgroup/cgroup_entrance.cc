// How a process moves itself into its container's cgroups; see CgroupEntrance for why.

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/syscalls.h"
#include "runc-ext/cgroup/cgroup.h"

namespace sysbox::runc {
namespace {

Result<void> write_self(int fd, const std::string& path) {
  if (::write(fd, "0", 1) == 1) return {};
  if (errno == EINVAL) {
    return last_error("enter cgroup by '", path,
                      "' (a real-time process cannot enter one without a realtime limit)");
  }
  return last_error("enter cgroup by '", path, "'");
}

// A short-lived task in the cgroup that becomes the root of a new cgroup namespace.
[[noreturn]] void hold_namespace(int socket) {
  const int code = ::unshare(CLONE_NEWCGROUP) == 0 ? 0 : errno;
  // setns(2) of a pidfd asks for the right to look into the task; ours may be undumpable by now,
  // and nobody else is in the container yet.
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  char until_parent_closes = 0;
  if (::write(socket, &code, sizeof(code)) == sizeof(code)) {
    (void)!::read(socket, &until_parent_closes, 1);
  }
  ::_exit(0);
}

Result<void> join_namespace_of(int pidfd, int socket) {
  int code = EIO;
  if (::read(socket, &code, sizeof(code)) != sizeof(code)) code = EIO;
  if (code != 0) return errno_error(code, "unshare cgroup namespace");
  return sys::setns(pidfd, CLONE_NEWCGROUP);
}

}  // namespace

Result<void> CgroupEntrance::enter(BornInLeaf born) const {
  // "0" to `tasks` moves one thread, itself; Linux does that without stopping all others.
  for (const Tasks& each : tasks_) TRY(write_self(each.fd.get(), each.path));
  if (born == BornInLeaf::kYes || !leaf_procs_) return {};
  return write_self(leaf_procs_.get(), "cgroup.procs");
}

Result<void> CgroupEntrance::unshare_namespace() const {
  if (!root_) return sys::unshare(CLONE_NEWCGROUP);

  auto [parent_end, child_end] = TRY(sys::socketpair(SOCK_STREAM));
  int pidfd_number = -1;
  clone_args arguments = {};
  arguments.flags = CLONE_INTO_CGROUP | CLONE_PIDFD;
  arguments.pidfd = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&pidfd_number));
  arguments.exit_signal = SIGCHLD;
  arguments.cgroup = static_cast<std::uint64_t>(root_.get());
  const long task = ::syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (task == 0) {
    parent_end.reset();
    hold_namespace(child_end.get());
  }
  if (task < 0) {
    // A limit of one process, for example: slowly, but without a second one.
    TRY(write_self(root_procs_.get(), "cgroup.procs"));
    TRY(sys::unshare(CLONE_NEWCGROUP));
    return write_self(leaf_procs_.get(), "cgroup.procs");
  }
  const UniqueFd pidfd(pidfd_number);
  child_end.reset();
  Result<void> joined = join_namespace_of(pidfd.get(), parent_end.get());
  parent_end.reset();
  siginfo_t ended = {};
  while (::waitid(P_PIDFD, static_cast<id_t>(pidfd.get()), &ended, WEXITED) != 0 &&
         errno == EINTR) {
  }
  return joined;
}

}  // namespace sysbox::runc

#include "common/procfs_context.h"

#include <linux/mount.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/short_lived_task.h"
#include "common/syscalls.h"

namespace sysbox {
namespace {

int fsopen_proc(void* argument) {
  *static_cast<int*>(argument) = static_cast<int>(::syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC));
  return 0;
}

}  // namespace

Result<UniqueFd> fsopen_procfs_inside(int pid_namespace_fd) {
  const UniqueFd own = TRY(sys::open("/proc/thread-self/ns/pid_for_children", O_RDONLY));
  TRY(sys::setns(pid_namespace_fd, CLONE_NEWPID));
  int fs_fd = -1;
  const Result<void> ran = run_short_lived_task(0, fsopen_proc, &fs_fd);
  UniqueFd opened(fs_fd);
  const Result<void> back = sys::setns(own.get(), CLONE_NEWPID);
  if (!back.ok()) return Error(ENOTRECOVERABLE, back.error().message());
  TRY(ran);
  if (!opened.valid()) return errno_error(EIO, "fsopen 'proc' in another pid namespace");
  return opened;
}

}  // namespace sysbox

#include "fs-emulator/namespaced_settings.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

#include "common/short_lived_task.h"
#include "common/syscalls.h"

namespace sysbox::fs {
namespace {

constexpr std::string_view kPidMax = "/proc/sys/kernel/pid_max";

struct Attempt {
  int proc_fd;
  bool is_writable;
};

int try_to_open(void* argument) {
  auto* attempt = static_cast<Attempt*>(argument);
  const int file_fd = ::openat(attempt->proc_fd, "sys/kernel/pid_max", O_WRONLY | O_CLOEXEC);
  attempt->is_writable = file_fd >= 0;
  if (file_fd >= 0) ::close(file_fd);
  return 0;
}

// As root of a new user namespace with a new pid namespace, and not as the host's root, who may
// write anyway.
bool pid_max_is_writable_inside() {
  const Result<UniqueFd> proc = sys::open("/proc", O_PATH | O_DIRECTORY);
  if (!proc.ok()) return false;
  Attempt attempt{proc.value().get(), false};
  // The thread's own ids only, which end with it.
  std::thread([&attempt] {
    constexpr uid_t kNobody = 65534;
    if (::syscall(SYS_setresuid, kNobody, kNobody, kNobody) != 0) return;
    static_cast<void>(run_short_lived_task(CLONE_NEWUSER | CLONE_NEWPID, try_to_open, &attempt));
  }).join();
  return attempt.is_writable;
}

}  // namespace

bool is_namespaced_by_kernel(std::string_view path) {
  if (path != kPidMax) return false;
  static const bool is_namespaced = pid_max_is_writable_inside();
  return is_namespaced;
}

}  // namespace sysbox::fs

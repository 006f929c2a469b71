#pragma once

// The kernel's side of seccomp user notification (seccomp_unotify(2)). Tests replace this one.

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <memory>

#include "common/result.h"
#include "seccomp-notify/trapped_syscall.h"

namespace sysbox::seccomp {

// One trapped call, as the kernel tells it.
struct Notification {
  std::uint64_t id = 0;
  pid_t tid_on_host = 0;
  std::uint32_t architecture = 0;  // AUDIT_ARCH_*
  int number = 0;                  // of the system call, on that architecture
  std::array<std::uint64_t, 6> arguments{};
};

class NotifyKernel {
 public:
  virtual ~NotifyKernel() = default;

  // To be called once for a new listener.
  virtual void prepare(int /*listener*/) {}
  // Waits for the next call. ENOENT: its caller was killed before we came.
  virtual Result<Notification> receive(int listener) = 0;
  // False once the caller was killed, or its call was answered: its pid may be another's by then.
  virtual bool is_waiting(int listener, std::uint64_t id) = 0;
  // ENOENT: the caller no longer waits.
  virtual Result<void> answer(int listener, std::uint64_t id, const Verdict& verdict) = 0;
};

// ENOSYS if the kernel has no user notification.
Result<std::shared_ptr<NotifyKernel>> open_notify_kernel();

}  // namespace sysbox::seccomp

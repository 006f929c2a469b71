#pragma once

// The kernel's side of seccomp user notification (seccomp_unotify(2)). Tests replace this one.

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

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
  std::atomic<std::uint64_t>* evidence = nullptr;  // in its JournaledCall
};
// Of the kernel's own bytes (struct seccomp_notif), of which there are enough.
Notification parse_notification(std::span<const std::byte> raw);

class NotifyKernel {
 public:
  virtual ~NotifyKernel() = default;

  // To be called once for a new listener.
  virtual void prepare(int /*listener*/) {}
  // Waits for the next call, which the kernel writes to `raw`: zeroed, as large as in
  // JournaledCall. ENOENT: its caller was killed before we came.
  virtual Result<Notification> receive(int listener, std::span<std::byte> raw) = 0;
  // False once the caller was killed, or its call was answered: its pid may be another's by then.
  virtual bool is_waiting(int listener, std::uint64_t id) = 0;
  // ENOENT: the caller no longer waits.
  virtual Result<void> answer(int listener, std::uint64_t id, const Verdict& verdict) = 0;
};

// ENOSYS if the kernel has no user notification.
Result<std::shared_ptr<NotifyKernel>> open_notify_kernel();

}  // namespace sysbox::seccomp

// sched_getaffinity(2) of the caller itself or of its process's first thread, by which programs
// count their cpus (nproc, Go, JVMs, Docker, the C library): as many as the container's quota
// allows, as in /proc/cpuinfo.

#include <linux/audit.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

#include "seccomp-notify/handlers/handlers.h"

namespace sysbox::seccomp {
namespace {

constexpr std::size_t kMaxMaskBytes = 8192 / 8;  // the most that kernels are built for

bool is_set(const std::string& mask, std::size_t cpu) {
  return ((static_cast<unsigned char>(mask[cpu / 8]) >> (cpu % 8)) & 1U) != 0;
}

// The thread, as the host names it, that the caller asks about if that is itself or its process's
// first one, which Docker counts by; 0 for any other.
Result<pid_t> own_thread(const Tracee& tracee) {
  const auto asked_for = static_cast<pid_t>(tracee.argument(0));
  if (asked_for == 0) return tracee.tid_on_host();
  Caller caller = TRY(tracee.open_caller());
  TRY(caller.learn_credentials());
  const ProcessStatus& status = caller.status;
  const auto is_asked_for = [&](const std::vector<pid_t>& ids) {
    return !ids.empty() && ids.back() == asked_for;
  };
  if (is_asked_for(status.pids_in_namespaces)) return tracee.tid_on_host();
  return is_asked_for(status.thread_groups_in_namespaces) ? status.thread_group : 0;
}

}  // namespace

// Programs bind threads to the cpus they find: containers do not all begin with the same one.
void trim_cpu_mask(std::string& mask, std::size_t count, std::size_t start) {
  std::vector<std::size_t> cpus;
  for (std::size_t cpu = 0; cpu < mask.size() * 8; ++cpu) {
    if (is_set(mask, cpu)) cpus.push_back(cpu);
  }
  if (count == 0 || count >= cpus.size()) return;
  std::fill(mask.begin(), mask.end(), '\0');
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t cpu = cpus[(start + i) % cpus.size()];
    mask[cpu / 8] = static_cast<char>(static_cast<unsigned char>(mask[cpu / 8]) | 1U << (cpu % 8));
  }
}

Result<Verdict> handle_sched_getaffinity(const Assistance& with) {
  const Tracee& tracee = with.tracee;
  const bool is_64_bit = (tracee.architecture() & __AUDIT_ARCH_64BIT) != 0;
  const auto length = static_cast<std::uint32_t>(tracee.argument(1));
  // 32-bit programs count in words of their own.
  if (length % (is_64_bit ? 8 : 4) != 0) return Verdict(FailWith{EINVAL});
  std::string mask(kMaxMaskBytes, '\0');
  const std::size_t asked_for = std::min<std::size_t>(length + length % 8, mask.size());
  const pid_t thread = TRY(own_thread(tracee));
  if (thread == 0) return Verdict(LetKernelRunIt{});
  const long size = ::syscall(SYS_sched_getaffinity, thread, asked_for, mask.data());
  if (size < 0) return Verdict(FailWith{errno});
  mask.resize(std::min<std::size_t>(static_cast<std::size_t>(size), length));
  const std::size_t count = TRY(with.actions.cpu_count(tracee.tid_on_host()));
  trim_cpu_mask(mask, count, std::hash<std::string>()(with.actions.container_id()));
  const Result<void> written = tracee.write(tracee.argument(2), mask);
  if (!written.ok()) return Verdict(FailWith{written.error().code()});
  return Verdict(SucceedWith{static_cast<std::int64_t>(mask.size())});
}

}  // namespace sysbox::seccomp

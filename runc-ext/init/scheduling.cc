#include "runc-ext/init/scheduling.h"

#include <linux/ioprio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <climits>

namespace sysbox::runc {
namespace {

// sched_setattr(2); the C library of Debian 12 does not have it.
struct SchedAttributes {
  std::uint32_t size = sizeof(SchedAttributes);
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0;
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
  std::uint32_t util_min = 0;
  std::uint32_t util_max = 0;
};
static_assert(sizeof(SchedAttributes) == 56);

constexpr unsigned kBitsPerWord = sizeof(unsigned long) * CHAR_BIT;
using CpuMask = std::array<unsigned long, kMaxCpus / kBitsPerWord>;

bool has_cpu(const CpuMask& mask, unsigned cpu) {
  return (mask.at(cpu / kBitsPerWord) >> (cpu % kBitsPerWord) & 1U) != 0;
}

CpuMask mask_of(const std::string& list) {
  CpuMask mask{};
  for (const unsigned cpu : parse_cpu_list(list).value_or(std::vector<unsigned>{})) {
    mask.at(cpu / kBitsPerWord) |= 1UL << (cpu % kBitsPerWord);
  }
  return mask;
}

bool set_affinity(pid_t pid, const CpuMask& mask) {
  return ::syscall(SYS_sched_setaffinity, pid, sizeof mask, mask.data()) == 0;
}

}  // namespace

Result<void> apply_scheduling(pid_t pid, const OciProcess& process) {
  if (process.io_priority) TRY(apply_io_priority(pid, *process.io_priority));
  if (process.scheduler) TRY(apply_scheduler(pid, *process.scheduler));
  return {};
}

Result<void> apply_scheduler(pid_t pid, const OciScheduler& scheduler) {
  SchedAttributes attributes;
  attributes.policy = scheduler.policy_number;
  attributes.flags = scheduler.flag_bits;
  attributes.nice = scheduler.nice;
  attributes.priority = scheduler.priority;
  attributes.runtime = scheduler.runtime;
  attributes.deadline = scheduler.deadline;
  attributes.period = scheduler.period;
  if (::syscall(SYS_sched_setattr, pid, &attributes, 0) == 0) return {};
  const int code = errno;
  // The kernel checks deadlines for all CPUs of the machine together.
  if (code == EPERM && scheduler.policy == "SCHED_DEADLINE") {
    return errno_error(code, "process.scheduler SCHED_DEADLINE: process scheduler can't be used ",
                       "together with AllowedCPUs (linux.resources.cpu.cpus), nor without "
                       "CAP_SYS_NICE");
  }
  return errno_error(code, "process.scheduler ", scheduler.policy);
}

Result<void> apply_io_priority(pid_t pid, const OciIoPriority& priority) {
  constexpr int kOneProcess = IOPRIO_WHO_PROCESS;
  const int value = (priority.class_number << IOPRIO_CLASS_SHIFT) | priority.priority;
  if (::syscall(SYS_ioprio_set, kOneProcess, pid, value) == 0) return {};
  return last_error("process.ioPriority ", priority.io_class);
}

Result<void> forget_cpu_affinity(pid_t pid) {
  CpuMask all{};
  all.fill(~0UL);
  if (!set_affinity(pid, all)) return last_error("set the CPUs of process ", pid);
  return {};
}

Result<void> apply_cpu_affinity(pid_t pid, const std::string& list) {
  if (!set_affinity(pid, mask_of(list))) return last_error("process.execCPUAffinity '", list, "'");
  return {};
}

std::string cpu_mask_text(const std::string& list) {
  const CpuMask mask = mask_of(list);
  std::string digits;
  for (unsigned digit = kMaxCpus / 4; digit-- > 0;) {
    unsigned value = 0;
    for (unsigned bit = 0; bit < 4; ++bit) {
      if (has_cpu(mask, digit * 4 + bit)) value |= 1U << bit;
    }
    if (value != 0 || !digits.empty()) digits += "0123456789abcdef"[value];
  }
  return "0x" + (digits.empty() ? "0" : digits);
}

}  // namespace sysbox::runc

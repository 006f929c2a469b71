// sysinfo(2): the container's numbers, those of /proc/meminfo, /proc/loadavg and /proc/uptime.

#include <linux/audit.h>
#include <linux/sysinfo.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "seccomp-notify/handlers/handlers.h"

namespace sysbox::seccomp {
namespace {

constexpr std::uint64_t kPageBytes = 4096;

// struct sysinfo of 32-bit programs (struct compat_sysinfo of the kernel).
struct SysinfoOf32Bit {
  std::int32_t uptime;
  std::array<std::uint32_t, 3> loads;
  std::uint32_t totalram, freeram, sharedram, bufferram, totalswap, freeswap;
  std::uint16_t procs, pad;
  std::uint32_t totalhigh, freehigh, mem_unit;
  std::array<char, 8> rest;
};
static_assert(sizeof(SysinfoOf32Bit) == 64);
static_assert(sizeof(struct sysinfo) == 112);

std::uint16_t process_count(const SystemInformation& numbers) {
  return static_cast<std::uint16_t>(std::min<std::uint64_t>(numbers.processes, 0xffff));
}

template <typename Struct>
std::string bytes_of(const Struct& answer) {
  std::string bytes(sizeof answer, '\0');
  std::memcpy(bytes.data(), &answer, sizeof answer);
  return bytes;
}

}  // namespace

std::string sysinfo_for_64_bit(const SystemInformation& numbers) {
  struct sysinfo answer {};
  answer.uptime = static_cast<__kernel_long_t>(numbers.uptime_seconds);
  std::copy(numbers.loads.begin(), numbers.loads.end(), std::begin(answer.loads));
  answer.totalram = numbers.total_bytes;
  answer.freeram = numbers.free_bytes;
  answer.sharedram = numbers.shared_bytes;
  answer.bufferram = numbers.buffer_bytes;
  answer.totalswap = numbers.swap_total_bytes;
  answer.freeswap = numbers.swap_free_bytes;
  answer.procs = process_count(numbers);
  answer.mem_unit = 1;
  return bytes_of(answer);
}

// As the kernel does: bytes if all of them fit, else a larger unit, a page at most.
std::string sysinfo_for_32_bit(const SystemInformation& numbers) {
  std::uint64_t unit = 1;
  if ((numbers.total_bytes >> 32U) != 0 || (numbers.swap_total_bytes >> 32U) != 0) {
    unit = kPageBytes;
  }
  const auto in_units = [unit](std::uint64_t bytes) {
    return static_cast<std::uint32_t>(bytes / unit);
  };
  SysinfoOf32Bit answer{};
  answer.uptime = static_cast<std::int32_t>(numbers.uptime_seconds);
  std::transform(numbers.loads.begin(), numbers.loads.end(), answer.loads.begin(),
                 [](std::uint64_t load) { return static_cast<std::uint32_t>(load); });
  answer.totalram = in_units(numbers.total_bytes);
  answer.freeram = in_units(numbers.free_bytes);
  answer.sharedram = in_units(numbers.shared_bytes);
  answer.bufferram = in_units(numbers.buffer_bytes);
  answer.totalswap = in_units(numbers.swap_total_bytes);
  answer.freeswap = in_units(numbers.swap_free_bytes);
  answer.procs = process_count(numbers);
  answer.mem_unit = static_cast<std::uint32_t>(unit);
  return bytes_of(answer);
}

Result<Verdict> handle_sysinfo(const Assistance& with) {
  const Tracee& tracee = with.tracee;
  const SystemInformation numbers = TRY(with.actions.system_information(tracee.tid_on_host()));
  const bool is_64_bit = (tracee.architecture() & __AUDIT_ARCH_64BIT) != 0;
  const std::string answer = is_64_bit ? sysinfo_for_64_bit(numbers) : sysinfo_for_32_bit(numbers);
  const Result<void> written = tracee.write(tracee.argument(0), answer);
  if (!written.ok()) return Verdict(FailWith{written.error().code()});
  return Verdict(SucceedWith{0});
}

}  // namespace sysbox::seccomp

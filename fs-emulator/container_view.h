#pragma once

// What an emulated file may know: one container as one process in it sees it, at one moment.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/root_dir.h"
#include "fs-emulator/container_cgroups.h"
#include "fs-emulator/container_history.h"
#include "fs-emulator/task_census.h"

namespace sysbox::fs {

// The host's own files, opened before any container exists.
struct HostFiles {
  RootDir proc;
  RootDir sys;

  // Of "/proc/…" and "/sys/…": whose file it is, and its path below that.
  static bool is_proc(std::string_view path) { return path.starts_with("/proc/"); }
  static std::string below(std::string_view path) {
    return std::string(path.substr(is_proc(path) ? 6 : 5));
  }
  const RootDir& file_system_of(std::string_view path) const { return is_proc(path) ? proc : sys; }
};

inline constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

struct ClockReading {
  std::uint64_t boot_ns = 0;  // CLOCK_BOOTTIME: goes on while the machine sleeps
  std::uint64_t wall_ns = 0;
};
ClockReading read_clock();

// What one view is made of; all of it is borrowed.
struct ContainerViewParts {
  const HostFiles& host;
  const ContainerCgroups& cgroups;
  ContainerHistory& history;
  ClockReading now;
  std::uint64_t start_boot_ns = 0;
  // By how much the container's own time namespace moves CLOCK_BOOTTIME.
  std::int64_t boottime_offset_ns = 0;
  // The process (or thread) that asks, as the host numbers it; 0: not known.
  int requester_pid_on_host = 0;
};

struct CpuView {
  std::vector<unsigned> host_cpus;  // those of the host that stand for cpu 0, 1, 2 …
  std::string level;                // the cgroup whose use of time is shown
};

class ContainerView {
 public:
  explicit ContainerView(const ContainerViewParts& parts);

  // The cgroups of the process that asks, as the host names them.
  const std::optional<CgroupMembership>& membership() const { return membership_; }

  Result<std::string> host_proc(const std::string& file) const;
  Result<std::string> host_sys(const std::string& file) const;
  std::uint64_t since_start_ns() const;
  // Since the container's start; a clock that was set by time namespaces (linux.timeOffsets, or
  // unshare(1) inside) counts as it was set.
  std::uint64_t uptime_ns() const;
  // The same as long as nobody sets the clock.
  std::uint64_t boot_wall_seconds() const;

  // ENOENT: the container has no such cgroup.
  Result<CgroupLevels> levels(std::string_view controller) const;
  Result<MemoryUse> memory() const;
  CpuView cpus() const;
  // Those that it may take memory from, as the host numbers them.
  std::vector<unsigned> memory_nodes() const;
  // Brought up to date for this view.
  CpuTable cpu_table(const CpuView& cpus) const;

  struct Load {
    std::array<double, 3> averages{};
    std::uint64_t running = 1;
    std::uint64_t blocked = 0;
    std::uint64_t tasks = 1;
    std::uint64_t last_pid = 1;  // the highest seen
    std::uint64_t context_switches = 0;
  };
  Load load() const;

 private:
  std::vector<unsigned> allowed_cpus() const;
  TaskStatus status_of(std::string_view tid) const;
  TaskCensus count_tasks() const;

  ContainerViewParts parts_;
  std::optional<CgroupMembership> membership_;
};

// The offset of CLOCK_BOOTTIME in the text of /proc/PID/timens_offsets; 0 if it is none.
std::int64_t parse_boottime_offset(std::string_view timens_offsets);

}  // namespace sysbox::fs

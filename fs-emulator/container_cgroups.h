#pragma once

// A container's control groups, read through the directories that the runtime made for it;
// cgroup v1, v2 and both at once.

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/process_status.h"
#include "common/result.h"
#include "common/root_dir.h"
#include "fs-emulator/api.h"

namespace sysbox::fs {

// One directory of a hierarchy. `name` is its path below the container's own: "" is that one.
struct CgroupLevel {
  std::string name;
  RootDir directory;
};

// From the cgroup of the process that asks up to the container's own, which is the last.
struct CgroupLevels {
  enum class Version { kOne, kTwo };
  Version version = Version::kTwo;
  std::vector<CgroupLevel> levels;
};

// The level of that name, or the container's own if there is none.
const CgroupLevel& level_named(const CgroupLevels& levels, std::string_view name);

class ContainerCgroups {
 public:
  explicit ContainerCgroups(CgroupDirectories directories) : directories_(std::move(directories)) {}

  // Where the container's init is while it is still where the runtime put it: tells which part
  // of a path in /proc/PID/cgroup is the container's own directory.
  void learn_own_paths(const CgroupMembership& of_init);

  // The levels for a process; without one, or if its cgroup is none of the container's, only
  // the container's own. ENOENT: the container has no cgroup of this controller.
  Result<CgroupLevels> levels(std::string_view controller,
                              const CgroupMembership* of_process) const;

 private:
  std::string path_below(const std::string& key, const CgroupMembership& of_process) const;

  const CgroupDirectories directories_;
  mutable std::mutex mutex_;
  CgroupMembership own_paths_;
};

// memory.stat of either version; bytes, or counts where the name says so.
struct MemoryStat {
  std::uint64_t anon = 0, file = 0, shmem = 0, file_mapped = 0, file_dirty = 0;
  std::uint64_t file_writeback = 0, swap_cached = 0;
  std::uint64_t anon_huge = 0, file_huge = 0, shmem_huge = 0;
  std::uint64_t active_anon = 0, inactive_anon = 0, active_file = 0, inactive_file = 0;
  std::uint64_t unevictable = 0, slab_reclaimable = 0, slab_unreclaimable = 0;
  std::uint64_t kernel_stack = 0, page_tables = 0, secondary_page_tables = 0, per_cpu = 0;
  std::uint64_t vmalloc = 0, zswap = 0, zswapped = 0;
  std::uint64_t page_faults_count = 0, major_faults_count = 0;
};

struct MemoryUse {
  std::string level;  // whose use is shown
  std::optional<std::uint64_t> limit_bytes;
  std::uint64_t usage_bytes = 0;
  std::optional<std::uint64_t> swap_limit_bytes;
  std::uint64_t swap_usage_bytes = 0;
  MemoryStat stat;
  // Events and counts, named as in /proc/vmstat: the text of memory.stat, of v1 only what
  // includes the cgroups below.
  std::string stat_text;
  std::uint64_t oom_kills_count = 0;
};

// The smallest limit on the way up, and the use of the cgroup that has it; the same for swap.
Result<MemoryUse> read_memory_use(const CgroupLevels& memory);
MemoryStat parse_memory_stat(std::string_view text, CgroupLevels::Version version);

// The pages of one size ("2MB") that the levels may take from the host's pool of huge pages;
// nothing if no level has a limit.
struct HugePageUse {
  std::uint64_t limit_bytes = 0;
  std::uint64_t usage_bytes = 0;
};
std::optional<HugePageUse> read_huge_page_use(const CgroupLevels& hugetlb, std::string_view size);

// How many cpus' worth of time the levels allow (2.5), and which level has that limit.
struct CpuQuota {
  std::optional<double> cpus;
  std::string level;
};
CpuQuota read_cpu_quota(const CgroupLevels& cpu);

// The cpus that the innermost level may run on; empty: not limited, or not known.
std::vector<unsigned> read_cpu_set(const CgroupLevels& cpuset);
// The same for the memory nodes.
std::vector<unsigned> read_memory_node_set(const CgroupLevels& cpuset);

struct CpuTimes {
  std::uint64_t user_ns = 0;
  std::uint64_t system_ns = 0;
};
// Used so far by the level called `level`, or by the container if there is none of that name.
Result<CpuTimes> read_cpu_times(const CgroupLevels& cpuacct, std::string_view level);
// How long its tasks were held back by its quota.
std::uint64_t read_throttled_ns(const CgroupLevels& cpu, std::string_view level);

// How many tasks the container has (pids controller); nothing if that is not counted.
std::optional<std::uint64_t> read_task_count(const CgroupLevels& pids);

}  // namespace sysbox::fs

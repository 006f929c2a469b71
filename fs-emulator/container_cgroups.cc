#include "fs-emulator/container_cgroups.h"

#include <algorithm>
#include <array>

#include "fs-emulator/text_fields.h"

namespace sysbox::fs {
namespace {

using Version = CgroupLevels::Version;

// A tenant may nest cgroups as deep as it likes; what it asks for must stay cheap for us. From
// below this depth a process sees the container's own limits.
constexpr std::size_t kMaxLevels = 16;

// v1 writes "no limit" as the largest number of whole pages.
constexpr std::uint64_t kNoLimitV1 = 0x7ffffffffffff000;

bool list_contains(std::string_view controllers, std::string_view controller) {
  while (!controllers.empty()) {
    const std::size_t comma = controllers.find(',');
    if (controllers.substr(0, comma) == controller) return true;
    if (comma == std::string_view::npos) break;
    controllers.remove_prefix(comma + 1);
  }
  return false;
}

// The entry for a controller: its own (perhaps together with others: "cpu,cpuacct").
template <typename Map>
typename Map::const_iterator find_controller(const Map& map, std::string_view controller) {
  return std::find_if(map.begin(), map.end(), [controller](const auto& entry) {
    return !entry.first.empty() && list_contains(entry.first, controller);
  });
}

std::optional<std::uint64_t> read_number(const CgroupLevel& level, const std::string& file) {
  const Result<std::string> text = level.directory.read_file(file);
  if (!text.ok()) return {};
  return parse_unsigned(text.value());  // "max" and "-1" are no numbers
}

std::uint64_t read_keyed_number(const CgroupLevel& level, const std::string& file,
                                std::string_view key) {
  const Result<std::string> text = level.directory.read_file(file);
  if (!text.ok()) return 0;
  std::string_view rest = text.value();
  while (!rest.empty()) {
    std::string_view line = next_line(rest);
    if (next_field(line) == key) return parse_unsigned(line).value_or(0);
  }
  return 0;
}

std::optional<std::uint64_t> read_memory_limit(const CgroupLevel& level, Version version) {
  if (version == Version::kTwo) return read_number(level, "memory.max");
  const std::optional<std::uint64_t> limit = read_number(level, "memory.limit_in_bytes");
  return limit && *limit < kNoLimitV1 ? limit : std::nullopt;
}

struct SwapUse {
  std::optional<std::uint64_t> limit_bytes;
  std::uint64_t usage_bytes = 0;
};

// v1 counts memory and swap together (memsw), v2 swap alone.
SwapUse read_swap_use(const CgroupLevel& level, Version version) {
  if (version == Version::kTwo) {
    return {read_number(level, "memory.swap.max"),
            read_number(level, "memory.swap.current").value_or(0)};
  }
  SwapUse use;
  const auto both_limit = read_number(level, "memory.memsw.limit_in_bytes");
  const auto both_usage = read_number(level, "memory.memsw.usage_in_bytes");
  const auto limit = read_memory_limit(level, version);
  if (both_limit && *both_limit < kNoLimitV1 && limit) {
    use.limit_bytes = *both_limit - std::min(*both_limit, *limit);
  }
  if (both_usage) {
    const std::uint64_t usage = read_number(level, "memory.usage_in_bytes").value_or(0);
    use.usage_bytes = *both_usage - std::min(*both_usage, usage);
  }
  return use;
}

std::optional<double> read_quota(const CgroupLevel& level, Version version) {
  std::optional<std::uint64_t> quota;
  std::optional<std::uint64_t> period;
  if (version == Version::kOne) {
    quota = read_number(level, "cpu.cfs_quota_us");
    period = read_number(level, "cpu.cfs_period_us");
  } else if (const Result<std::string> text = level.directory.read_file("cpu.max"); text.ok()) {
    std::string_view rest = text.value();
    quota = parse_unsigned(next_field(rest));
    period = parse_unsigned(rest);
  }
  if (!quota || !period || *quota == 0 || *period == 0) return {};
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

// A v2 cgroup whose parent does not delegate cpuset has no such file; its parent's holds.
std::vector<unsigned> innermost_set(const CgroupLevels& cpuset, const std::string& file) {
  for (const CgroupLevel& level : cpuset.levels) {
    const Result<std::string> text = level.directory.read_file(file);
    if (!text.ok()) continue;
    std::vector<unsigned> set = parse_cpu_list(text.value());
    if (!set.empty()) return set;
  }
  return {};
}

struct StatField {
  std::string_view v1;
  std::string_view v2;
  std::uint64_t MemoryStat::*field;
};
// v1: the total_ lines, which count the cgroups below as well.
constexpr std::array kStatFields = {
    StatField{"total_rss", "anon", &MemoryStat::anon},
    StatField{"total_cache", "file", &MemoryStat::file},
    StatField{"total_shmem", "shmem", &MemoryStat::shmem},
    StatField{"total_mapped_file", "file_mapped", &MemoryStat::file_mapped},
    StatField{"total_dirty", "file_dirty", &MemoryStat::file_dirty},
    StatField{"total_writeback", "file_writeback", &MemoryStat::file_writeback},
    StatField{"total_swapcached", "swapcached", &MemoryStat::swap_cached},
    StatField{"total_rss_huge", "anon_thp", &MemoryStat::anon_huge},
    StatField{"", "file_thp", &MemoryStat::file_huge},
    StatField{"", "shmem_thp", &MemoryStat::shmem_huge},
    StatField{"total_active_anon", "active_anon", &MemoryStat::active_anon},
    StatField{"total_inactive_anon", "inactive_anon", &MemoryStat::inactive_anon},
    StatField{"total_active_file", "active_file", &MemoryStat::active_file},
    StatField{"total_inactive_file", "inactive_file", &MemoryStat::inactive_file},
    StatField{"total_unevictable", "unevictable", &MemoryStat::unevictable},
    StatField{"", "slab_reclaimable", &MemoryStat::slab_reclaimable},
    StatField{"", "slab_unreclaimable", &MemoryStat::slab_unreclaimable},
    StatField{"", "kernel_stack", &MemoryStat::kernel_stack},
    StatField{"", "pagetables", &MemoryStat::page_tables},
    StatField{"", "sec_pagetables", &MemoryStat::secondary_page_tables},
    StatField{"", "percpu", &MemoryStat::per_cpu},
    StatField{"", "vmalloc", &MemoryStat::vmalloc},
    StatField{"", "zswap", &MemoryStat::zswap},
    StatField{"", "zswapped", &MemoryStat::zswapped},
    StatField{"total_pgfault", "pgfault", &MemoryStat::page_faults_count},
    StatField{"total_pgmajfault", "pgmajfault", &MemoryStat::major_faults_count},
};

// What follows the prefix in the lines that have it.
std::string lines_with_prefix_dropped(std::string_view text, std::string_view prefix) {
  std::string out;
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    if (line.starts_with(prefix)) out += join(line.substr(prefix.size()), "\n");
  }
  return out;
}

// Init may sit below the container's directory, in the part that is delegated to it: the longest
// ancestor of its path that the directory's name on the host ends with.
std::string own_part(const std::string& init_path, const std::string& directory) {
  for (std::string part = init_path; part.size() > 1; part.erase(part.rfind('/'))) {
    if (directory.ends_with(part)) return part;
  }
  return init_path;
}

}  // namespace

void ContainerCgroups::learn_own_paths(const CgroupMembership& of_init) {
  const std::lock_guard lock(mutex_);
  own_paths_ = of_init;
  for (auto& [controllers, path] : own_paths_) {
    const auto directory = std::find_if(
        directories_.begin(), directories_.end(), [&names = controllers](const auto& entry) {
          return names.empty() ? entry.first.empty() : list_contains(names, entry.first);
        });
    if (directory != directories_.end()) path = own_part(path, directory->second);
  }
}

// What follows the container's own path in that of the process; "" if it is no such path.
std::string ContainerCgroups::path_below(const std::string& key,
                                         const CgroupMembership& of_process) const {
  const auto find = [&key](const CgroupMembership& map) {
    return key.empty() ? map.find(std::string_view()) : find_controller(map, key);
  };
  const std::lock_guard lock(mutex_);
  const auto own = find(own_paths_);
  const auto process = find(of_process);
  if (own == own_paths_.end() || process == of_process.end()) return "";
  const std::string clean = clean_path(process->second);
  if (clean == own->second || !is_same_or_below(clean, own->second)) return "";
  return own->second == "/" ? clean : clean.substr(own->second.size());
}

Result<CgroupLevels> ContainerCgroups::levels(std::string_view controller,
                                              const CgroupMembership* of_process) const {
  CgroupLevels found;
  auto directory = find_controller(directories_, controller);
  found.version = Version::kOne;
  if (directory == directories_.end()) {
    directory = directories_.find(std::string_view());
    found.version = Version::kTwo;
  }
  if (directory == directories_.end()) {
    return Error(ENOENT, join("container has no cgroup for ", controller));
  }
  RootDir own = TRY(RootDir::open(directory->second));
  std::string below;
  if (of_process != nullptr) {
    const std::string key(found.version == Version::kOne ? controller : std::string_view());
    below = path_below(key, *of_process);
  }
  if (static_cast<std::size_t>(std::count(below.begin(), below.end(), '/')) >= kMaxLevels) {
    below.clear();
  }
  while (!below.empty()) {
    Result<UniqueFd> level = own.open_inside(below, O_PATH | O_DIRECTORY);
    if (level.ok()) found.levels.push_back({below, RootDir(std::move(level).value())});
    below.erase(below.rfind('/'));
  }
  found.levels.push_back({"", std::move(own)});
  return found;
}

const CgroupLevel& level_named(const CgroupLevels& levels, std::string_view name) {
  for (const CgroupLevel& level : levels.levels) {
    if (level.name == name) return level;
  }
  return levels.levels.back();
}

MemoryStat parse_memory_stat(std::string_view text, Version version) {
  MemoryStat stat;
  while (!text.empty()) {
    std::string_view line = next_line(text);
    const std::string_view name = next_field(line);
    for (const StatField& field : kStatFields) {
      if (name.empty() || name != (version == Version::kOne ? field.v1 : field.v2)) continue;
      stat.*field.field = parse_unsigned(line).value_or(0);
    }
  }
  return stat;
}

Result<MemoryUse> read_memory_use(const CgroupLevels& memory) {
  MemoryUse use;
  const CgroupLevel* chosen = &memory.levels.back();
  for (const CgroupLevel& level : memory.levels) {
    const std::optional<std::uint64_t> limit = read_memory_limit(level, memory.version);
    if (limit && (!use.limit_bytes || *limit < *use.limit_bytes)) {
      use.limit_bytes = limit;
      chosen = &level;
    }
    const SwapUse swap = read_swap_use(level, memory.version);
    const bool is_outermost = &level == &memory.levels.back();
    if (swap.limit_bytes ? !use.swap_limit_bytes || *swap.limit_bytes < *use.swap_limit_bytes
                         : is_outermost && !use.swap_limit_bytes) {
      use.swap_limit_bytes = swap.limit_bytes;
      use.swap_usage_bytes = swap.usage_bytes;
    }
  }
  use.level = chosen->name;
  const bool is_v1 = memory.version == Version::kOne;
  use.usage_bytes =
      read_number(*chosen, is_v1 ? "memory.usage_in_bytes" : "memory.current").value_or(0);
  use.stat_text = TRY(chosen->directory.read_file("memory.stat"));
  use.stat = parse_memory_stat(use.stat_text, memory.version);
  if (is_v1) {
    // All that the kernel holds for it; v1 does not tell slabs, stacks and tables apart.
    use.stat.slab_unreclaimable = read_number(*chosen, "memory.kmem.usage_in_bytes").value_or(0);
    use.stat_text = lines_with_prefix_dropped(use.stat_text, "total_");
  }
  use.oom_kills_count =
      read_keyed_number(*chosen, is_v1 ? "memory.oom_control" : "memory.events", "oom_kill");
  return use;
}

std::optional<HugePageUse> read_huge_page_use(const CgroupLevels& hugetlb, std::string_view size) {
  const bool is_v1 = hugetlb.version == Version::kOne;
  std::optional<HugePageUse> smallest;
  for (const CgroupLevel& level : hugetlb.levels) {
    const std::string prefix = join("hugetlb.", size, ".");
    const auto limit = read_number(level, prefix + (is_v1 ? "limit_in_bytes" : "max"));
    // v1 writes "no limit" as the largest number of whole pages, of this size here.
    if (!limit || *limit >= kNoLimitV1 / 2) continue;
    if (smallest && smallest->limit_bytes <= *limit) continue;
    const auto usage = read_number(level, prefix + (is_v1 ? "usage_in_bytes" : "current"));
    smallest = {*limit, usage.value_or(0)};
  }
  return smallest;
}

CpuQuota read_cpu_quota(const CgroupLevels& cpu) {
  CpuQuota smallest;
  for (const CgroupLevel& level : cpu.levels) {
    const std::optional<double> cpus = read_quota(level, cpu.version);
    if (!cpus || (smallest.cpus && *smallest.cpus <= *cpus)) continue;
    smallest = {cpus, level.name};
  }
  return smallest;
}

std::vector<unsigned> read_cpu_set(const CgroupLevels& cpuset) {
  const bool is_v1 = cpuset.version == Version::kOne;
  return innermost_set(cpuset, is_v1 ? "cpuset.effective_cpus" : "cpuset.cpus.effective");
}

std::vector<unsigned> read_memory_node_set(const CgroupLevels& cpuset) {
  const bool is_v1 = cpuset.version == Version::kOne;
  return innermost_set(cpuset, is_v1 ? "cpuset.effective_mems" : "cpuset.mems.effective");
}

Result<CpuTimes> read_cpu_times(const CgroupLevels& cpuacct, std::string_view name) {
  const CgroupLevel& level = level_named(cpuacct, name);
  if (cpuacct.version == Version::kTwo) {
    constexpr std::uint64_t kNsPerUs = 1000;
    return CpuTimes{read_keyed_number(level, "cpu.stat", "user_usec") * kNsPerUs,
                    read_keyed_number(level, "cpu.stat", "system_usec") * kNsPerUs};
  }
  const std::string user = TRY(level.directory.read_file("cpuacct.usage_user"));
  const std::string system = TRY(level.directory.read_file("cpuacct.usage_sys"));
  return CpuTimes{parse_unsigned(user).value_or(0), parse_unsigned(system).value_or(0)};
}

std::uint64_t read_throttled_ns(const CgroupLevels& cpu, std::string_view name) {
  const CgroupLevel& level = level_named(cpu, name);
  if (cpu.version == Version::kOne) return read_keyed_number(level, "cpu.stat", "throttled_time");
  return read_keyed_number(level, "cpu.stat", "throttled_usec") * 1000;
}

std::optional<std::uint64_t> read_task_count(const CgroupLevels& pids) {
  return read_number(pids.levels.back(), "pids.current");
}

}  // namespace sysbox::fs

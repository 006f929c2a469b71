// The usage of a container on cgroup v1.

#include <unistd.h>

#include <sstream>

#include "common/syscalls.h"
#include "runc-ext/cgroup/stats.h"

namespace sysbox::runc::v1 {
namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kNanosecondsPerTick = 10'000'000;  // USER_HZ is 100 everywhere

Result<std::vector<std::uint64_t>> read_numbers(const std::string& path) {
  std::vector<std::uint64_t> numbers;
  for (const std::string& word : split_words(TRY(sys::read_file(path)))) {
    numbers.push_back(parse_count(word));
  }
  return numbers;
}

// "0-2,5" → 0 1 2 5
std::vector<std::uint64_t> parse_list(std::string_view text) {
  std::vector<std::uint64_t> numbers;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    const std::string_view range = text.substr(0, text.find(','));
    text.remove_prefix(std::min(range.size() + 1, text.size()));
    const std::size_t dash = range.find('-');
    const std::uint64_t first = parse_count(range);
    const std::uint64_t last =
        dash == std::string_view::npos ? first : parse_count(range.substr(dash + 1));
    for (std::uint64_t number = first; number <= last; ++number) numbers.push_back(number);
  }
  return numbers;
}

Result<void> read_cpuacct(const std::string& directory, CpuStats& cpu) {
  auto ticks = TRY(read_key_values(directory + "/cpuacct.stat"));
  cpu.user = ticks["user"] * kNanosecondsPerTick;
  cpu.kernel = ticks["system"] * kNanosecondsPerTick;
  cpu.total = TRY(read_count(directory + "/cpuacct.usage"));
  cpu.per_cpu = TRY(read_numbers(directory + "/cpuacct.usage_percpu"));
  const Result<std::string> all = sys::read_file(directory + "/cpuacct.usage_all");
  if (!all) return {};
  std::istringstream lines(all.value());
  std::string line;
  std::getline(lines, line);  // "cpu user system"
  while (std::getline(lines, line)) {
    const std::vector<std::string> words = split_words(line);
    if (words.size() != 3) continue;
    cpu.per_cpu_user.push_back(parse_count(words[1]));
    cpu.per_cpu_kernel.push_back(parse_count(words[2]));
  }
  return {};
}

Result<void> read_throttling(const std::string& directory, CpuStats& cpu) {
  auto values = TRY(read_key_values(directory + "/cpu.stat"));
  cpu.periods = values["nr_periods"];
  cpu.throttled_periods = values["nr_throttled"];
  cpu.throttled_time = values["throttled_time"];
  return {};
}

constexpr const char* kCpusetFlags[] = {
    "cpu_exclusive",   "mem_hardwall",       "mem_exclusive",
    "memory_migrate",  "memory_spread_page", "memory_spread_slab",
    "memory_pressure", "sched_load_balance", "sched_relax_domain_level",
};

Result<void> read_cpuset(const std::string& directory, CpusetStats& cpuset) {
  cpuset.cpus = parse_list(sys::read_file(directory + "/cpuset.cpus").value_or(""));
  cpuset.mems = parse_list(sys::read_file(directory + "/cpuset.mems").value_or(""));
  for (const char* flag : kCpusetFlags) {
    const std::string text = sys::read_file(join(directory, "/cpuset.", flag)).value_or("0");
    const auto value = static_cast<std::int64_t>(parse_count(text.substr(text[0] == '-' ? 1 : 0)));
    cpuset.flags[flag] = text[0] == '-' ? -value : value;
  }
  return {};
}

// `delegated`: where the container's processes are. It has the same limit, so it is there that
// most allocations fail.
Result<MemoryEntry> read_memory_entry(const std::string& directory, const std::string& delegated,
                                      const std::string& name) {
  MemoryEntry entry;
  const std::string prefix = join(directory, "/", name);
  const Result<std::uint64_t> usage = read_count(prefix + ".usage_in_bytes");
  if (!usage && usage.error().code() == ENOENT) return entry;  // not counted by this kernel
  entry.usage = TRY(Result<std::uint64_t>(usage));
  entry.max_usage = TRY(read_count_if_any(prefix + ".max_usage_in_bytes"));
  entry.failures = TRY(read_count_if_any(prefix + ".failcnt"));
  entry.limit = TRY(read_count_if_any(prefix + ".limit_in_bytes"));
  if (!delegated.empty()) {
    entry.failures += TRY(read_count_if_any(join(delegated, "/", name, ".failcnt")));
  }
  return entry;
}

Result<void> read_memory(const std::string& directory, const std::string& delegated,
                         MemoryStats& memory) {
  memory.raw = TRY(read_key_values(directory + "/memory.stat"));
  // What stands for the one cgroup alone is of no interest: the processes are in those below.
  constexpr std::string_view kTotal = "total_";
  for (const auto& [key, value] : std::map<std::string, std::uint64_t>(memory.raw)) {
    if (key.starts_with(kTotal)) memory.raw[key.substr(kTotal.size())] = value;
  }
  if (memory.raw.empty()) return {};
  memory.cache = memory.raw["cache"];
  memory.usage = TRY(read_memory_entry(directory, delegated, "memory"));
  memory.swap = TRY(read_memory_entry(directory, delegated, "memory.memsw"));
  memory.kernel = TRY(read_memory_entry(directory, delegated, "memory.kmem"));
  memory.kernel_tcp = TRY(read_memory_entry(directory, delegated, "memory.kmem.tcp"));
  return {};
}

Result<void> read_pids(const std::string& directory, ContainerStats& stats) {
  stats.pids = TRY(read_count(directory + "/pids.current"));
  const std::uint64_t limit = TRY(read_count(directory + "/pids.max"));
  stats.pids_limit = limit == kUnlimited ? 0 : limit;
  return {};
}

// "8:0 Read 124", "8:0 6792" (sectors), "Total 228"
Result<std::vector<BlockIoEntry>> read_io_table(const std::string& path) {
  std::vector<BlockIoEntry> table;
  std::istringstream lines(TRY(sys::read_file(path)));
  for (std::string line; std::getline(lines, line);) {
    const std::vector<std::string> words = split_words(line);
    const std::size_t colon = words.empty() ? std::string::npos : words[0].find(':');
    if (colon == std::string::npos || words.size() < 2) continue;
    BlockIoEntry entry;
    entry.major = parse_count(words[0]);
    entry.minor = parse_count(std::string_view(words[0]).substr(colon + 1));
    if (words.size() > 2) entry.operation = words[1];
    entry.value = parse_count(words.back());
    table.push_back(std::move(entry));
  }
  return table;
}

struct IoFile {
  const char* name;
  std::vector<BlockIoEntry> BlockIoStats::*table;
};
// The schedulers' own numbers are the better ones; throttling counts for all of them.
constexpr IoFile kBfqDebug[] = {
    {"blkio.bfq.sectors_recursive", &BlockIoStats::sectors},
    {"blkio.bfq.io_service_time_recursive", &BlockIoStats::service_time},
    {"blkio.bfq.io_wait_time_recursive", &BlockIoStats::wait_time},
    {"blkio.bfq.io_merged_recursive", &BlockIoStats::merged},
    {"blkio.bfq.io_queued_recursive", &BlockIoStats::queued},
    {"blkio.bfq.time_recursive", &BlockIoStats::time},
};
constexpr IoFile kBfq[] = {
    {"blkio.bfq.io_serviced_recursive", &BlockIoStats::operations},
    {"blkio.bfq.io_service_bytes_recursive", &BlockIoStats::bytes},
};
constexpr IoFile kThrottle[] = {
    {"blkio.throttle.io_serviced_recursive", &BlockIoStats::operations},
    {"blkio.throttle.io_service_bytes_recursive", &BlockIoStats::bytes},
};

template <std::size_t count>
void read_io_tables(const std::string& directory, const IoFile (&files)[count], BlockIoStats& io) {
  for (const IoFile& file : files) {
    Result<std::vector<BlockIoEntry>> table = read_io_table(join(directory, "/", file.name));
    if (table) io.*file.table = std::move(table).value();
  }
}

Result<void> read_block_io(const std::string& directory, BlockIoStats& io) {
  read_io_tables(directory, kBfqDebug, io);
  read_io_tables(directory, kBfq, io);
  if (io.operations.empty()) read_io_tables(directory, kThrottle, io);
  return {};
}

Result<void> read_hugepages(const std::string& directory, ContainerStats& stats) {
  for (const std::string& size : hugepage_sizes()) {
    const std::string plain = join(directory, "/hugetlb.", size);
    const bool reserved = ::access((plain + ".rsvd.usage_in_bytes").c_str(), F_OK) == 0;
    const std::string prefix = reserved ? plain + ".rsvd" : plain;
    HugepageStats& hugepages = stats.hugepages[size];
    hugepages.usage = TRY(read_count_if_any(prefix + ".usage_in_bytes"));
    hugepages.max_usage = TRY(read_count_if_any(prefix + ".max_usage_in_bytes"));
    hugepages.failures = TRY(read_count_if_any(prefix + ".failcnt"));
  }
  return {};
}

}  // namespace

Result<ContainerStats> read_stats(const CgroupState& state) {
  const Cgroup cgroup = Cgroup::from_state(state);
  ContainerStats stats;
  const std::string cpuacct = cgroup.v1_directory_of("cpuacct");
  if (!cpuacct.empty()) TRY(read_cpuacct(cpuacct, stats.cpu));
  const std::string cpu = cgroup.v1_directory_of("cpu");
  if (!cpu.empty()) TRY(read_throttling(cpu, stats.cpu));
  const std::string cpuset = cgroup.v1_directory_of("cpuset");
  if (!cpuset.empty()) TRY(read_cpuset(cpuset, stats.cpuset));
  const std::string memory = cgroup.v1_directory_of("memory");
  if (!memory.empty()) {
    TRY(read_memory(memory, cgroup.v1_delegated_directory_of("memory"), stats.memory));
  }
  const std::string pids = cgroup.v1_directory_of("pids");
  if (!pids.empty()) TRY(read_pids(pids, stats));
  const std::string blkio = cgroup.v1_directory_of("blkio");
  if (!blkio.empty()) TRY(read_block_io(blkio, stats.block_io));
  const std::string hugetlb = cgroup.v1_directory_of("hugetlb");
  if (!hugetlb.empty()) TRY(read_hugepages(hugetlb, stats));
  return stats;
}

}  // namespace sysbox::runc::v1

// The usage of a container on cgroup v2.

#include <charconv>
#include <sstream>

#include "common/syscalls.h"
#include "runc-ext/cgroup/cgroup_tree.h"
#include "runc-ext/cgroup/stats.h"

namespace sysbox::runc::v2 {
namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kNanosecondsPerMicrosecond = 1000;

double parse_share(std::string_view text) {
  double share = 0;
  std::from_chars(text.data(), text.data() + text.size(), share);
  return share;
}

PressureLine parse_pressure_line(const std::vector<std::string>& words) {
  PressureLine line;
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) continue;
    const std::string_view key = std::string_view(word).substr(0, equals);
    const std::string_view value = std::string_view(word).substr(equals + 1);
    if (key == "avg10") line.avg10 = parse_share(value);
    if (key == "avg60") line.avg60 = parse_share(value);
    if (key == "avg300") line.avg300 = parse_share(value);
    if (key == "total") line.total = parse_count(value);
  }
  return line;
}

// Nothing without PSI: no such file, or (switched off at boot) one that cannot be read.
std::optional<Pressure> read_pressure(const std::string& path) {
  const Result<std::string> text = sys::read_file(path);
  if (!text) return std::nullopt;
  Pressure pressure;
  std::istringstream lines(text.value());
  for (std::string line; std::getline(lines, line);) {
    const std::vector<std::string> words = split_words(line);
    if (words.empty()) continue;
    if (words[0] == "some") pressure.some = parse_pressure_line(words);
    if (words[0] == "full") pressure.full = parse_pressure_line(words);
  }
  return pressure;
}

Result<void> read_cpu(const std::string& directory, CpuStats& cpu) {
  auto values = TRY(read_key_values(directory + "/cpu.stat"));
  cpu.total = values["usage_usec"] * kNanosecondsPerMicrosecond;
  cpu.user = values["user_usec"] * kNanosecondsPerMicrosecond;
  cpu.kernel = values["system_usec"] * kNanosecondsPerMicrosecond;
  cpu.periods = values["nr_periods"];
  cpu.throttled_periods = values["nr_throttled"];
  cpu.throttled_time = values["throttled_usec"] * kNanosecondsPerMicrosecond;
  cpu.pressure = read_pressure(directory + "/cpu.pressure");
  return {};
}

Result<MemoryEntry> read_memory_entry(const std::string& prefix) {
  MemoryEntry entry;
  entry.usage = TRY(read_count_if_any(prefix + ".current"));
  entry.limit = TRY(read_count_if_any(prefix + ".max"));
  entry.max_usage = TRY(read_count_if_any(prefix + ".peak"));  // since 5.19, of swap since 6.5
  return entry;
}

Result<void> read_memory(const std::string& directory, MemoryStats& memory) {
  memory.raw = TRY(read_key_values(directory + "/memory.stat"));
  memory.pressure = read_pressure(directory + "/memory.pressure");
  if (memory.raw.empty()) return {};
  memory.cache = memory.raw["file"];
  memory.usage = TRY(read_memory_entry(directory + "/memory"));
  // v2 counts swap alone; readers of these numbers know both together, as v1 counts.
  memory.swap = TRY(read_memory_entry(directory + "/memory.swap"));
  memory.swap.usage += memory.usage.usage;
  if (memory.swap.limit != kUnlimited) memory.swap.limit += memory.usage.limit;
  memory.swap.max_usage = 0;  // the two peaks need not have been at one time
  return {};
}

Result<void> read_pids(const std::string& directory, ContainerStats& stats) {
  const Result<std::uint64_t> current = read_count(directory + "/pids.current");
  if (!current && current.error().code() == ENOENT) {
    stats.pids = TRY(processes_below(directory)).size();
    return {};
  }
  if (!current) return Error(current.error());
  stats.pids = current.value();
  const std::uint64_t limit = TRY(read_count(directory + "/pids.max"));
  stats.pids_limit = limit == kUnlimited ? 0 : limit;
  return {};
}

struct IoKey {
  std::string_view key;
  const char* operation;
  std::vector<BlockIoEntry> BlockIoStats::*table;
};
constexpr IoKey kIoKeys[] = {
    {"rbytes", "Read", &BlockIoStats::bytes},
    {"wbytes", "Write", &BlockIoStats::bytes},
    {"rios", "Read", &BlockIoStats::operations},
    {"wios", "Write", &BlockIoStats::operations},
};

// "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0", into v1's tables.
void add_io_line(const std::vector<std::string>& words, BlockIoStats& io) {
  const std::size_t colon = words.empty() ? std::string::npos : words[0].find(':');
  if (colon == std::string::npos) return;
  BlockIoEntry entry;
  entry.major = parse_count(words[0]);
  entry.minor = parse_count(std::string_view(words[0]).substr(colon + 1));
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) continue;
    for (const IoKey& row : kIoKeys) {
      if (std::string_view(word).substr(0, equals) != row.key) continue;
      entry.operation = row.operation;
      entry.value = parse_count(std::string_view(word).substr(equals + 1));
      (io.*row.table).push_back(entry);
    }
  }
}

Result<void> read_block_io(const std::string& directory, BlockIoStats& io) {
  io.pressure = read_pressure(directory + "/io.pressure");
  const Result<std::string> text = sys::read_file(directory + "/io.stat");
  if (!text && text.error().code() == ENOENT) return {};
  if (!text) return Error(text.error());
  std::istringstream lines(text.value());
  for (std::string line; std::getline(lines, line);) add_io_line(split_words(line), io);
  return {};
}

Result<void> read_hugepages(const std::string& directory, ContainerStats& stats) {
  for (const std::string& size : hugepage_sizes()) {
    const std::string prefix = join(directory, "/hugetlb.", size);
    Result<std::uint64_t> usage = read_count(prefix + ".rsvd.current");
    if (!usage) usage = read_count(prefix + ".current");
    if (!usage && usage.error().code() == ENOENT) return {};  // no such controller
    HugepageStats& hugepages = stats.hugepages[size];
    hugepages.usage = TRY(std::move(usage));
    auto events = TRY(read_key_values(prefix + ".events"));
    hugepages.failures = events["max"];
  }
  return {};
}

}  // namespace

Result<ContainerStats> read_stats(const std::string& directory) {
  ContainerStats stats;
  TRY(read_pids(directory, stats));
  TRY(read_memory(directory, stats.memory));
  TRY(read_block_io(directory, stats.block_io));
  TRY(read_cpu(directory, stats.cpu));
  TRY(read_hugepages(directory, stats));
  return stats;
}

}  // namespace sysbox::runc::v2

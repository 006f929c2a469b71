#pragma once

// What a container has used so far, from its cgroups.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "runc-ext/cgroup/cgroup.h"

namespace sysbox::runc {

// One line of a pressure file: shares in percent, the total in microseconds.
struct PressureLine {
  double avg10 = 0, avg60 = 0, avg300 = 0;
  std::uint64_t total = 0;
};
struct Pressure {
  PressureLine some, full;
};

// Times in nanoseconds.
struct CpuStats {
  std::uint64_t total = 0, kernel = 0, user = 0;
  std::vector<std::uint64_t> per_cpu, per_cpu_kernel, per_cpu_user;  // v1
  std::uint64_t periods = 0, throttled_periods = 0, throttled_time = 0;
  std::optional<Pressure> pressure;  // v2
};

// v1's cpuset as it is set.
struct CpusetStats {
  std::vector<std::uint64_t> cpus, mems;
  std::map<std::string, std::int64_t> flags;  // cpuset.NAME → value
};

// "max" is the largest number.
struct MemoryEntry {
  std::uint64_t limit = 0, usage = 0, max_usage = 0, failures = 0;
};
struct MemoryStats {
  std::uint64_t cache = 0;
  MemoryEntry usage, swap, kernel, kernel_tcp;  // swap: memory and swap together, on v2 as well
  std::map<std::string, std::uint64_t> raw;     // memory.stat
  std::optional<Pressure> pressure;
};

struct BlockIoEntry {
  std::uint64_t major = 0, minor = 0;
  std::string operation;  // "Read", "Write", …
  std::uint64_t value = 0;
};
struct BlockIoStats {
  std::vector<BlockIoEntry> bytes, operations, queued, service_time, wait_time, merged, time,
      sectors;
  std::optional<Pressure> pressure;
};

struct HugepageStats {
  std::uint64_t usage = 0, max_usage = 0, failures = 0;
};

struct ContainerStats {
  CpuStats cpu;
  CpusetStats cpuset;
  MemoryStats memory;
  std::uint64_t pids = 0, pids_limit = 0;  // 0: unlimited
  BlockIoStats block_io;
  std::map<std::string, HugepageStats> hugepages;  // by size: "2MB"
};

// Controllers that the host lacks leave zeros.
Result<ContainerStats> read_stats(const CgroupState& state);

namespace v1 {
Result<ContainerStats> read_stats(const CgroupState& state);
}
namespace v2 {
Result<ContainerStats> read_stats(const std::string& directory);
}

// ---- for both

// A file with one number, "max" for the largest; ENOENT if there is none.
Result<std::uint64_t> read_count(const std::string& path);
// The same, with 0 for a file that does not exist.
Result<std::uint64_t> read_count_if_any(const std::string& path);
// A file of lines "key value"; empty if it does not exist.
Result<std::map<std::string, std::uint64_t>> read_key_values(const std::string& path);
std::uint64_t parse_count(std::string_view text);
std::vector<std::string> split_words(std::string_view text);
// "2MB" for each size of huge pages that the kernel has.
std::vector<std::string> hugepage_sizes();

}  // namespace sysbox::runc

// The JSON of `events`: runc's names and its order, and absent where runc leaves zeros out.

#include "runc-ext/commands/stats_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace sysbox::runc {
namespace {

using json = nlohmann::ordered_json;

void put_unless_zero(json& object, const char* name, std::uint64_t value) {
  if (value != 0) object[name] = value;
}

template <typename T>
void put_unless_empty(json& object, const char* name, const std::vector<T>& list) {
  if (!list.empty()) object[name] = list;
}

// 0 and not 0.0, as runc has it.
json number(double value) {
  if (value == std::floor(value)) return static_cast<std::int64_t>(value);
  return value;
}

json to_json(const PressureLine& line) {
  return {{"avg10", number(line.avg10)},
          {"avg60", number(line.avg60)},
          {"avg300", number(line.avg300)},
          {"total", line.total}};
}

void put_pressure(json& object, const std::optional<Pressure>& pressure) {
  if (!pressure) return;
  object["psi"] = {{"some", to_json(pressure->some)}, {"full", to_json(pressure->full)}};
}

json to_json(const CpuStats& cpu) {
  json usage = json::object();
  put_unless_zero(usage, "total", cpu.total);
  put_unless_empty(usage, "percpu", cpu.per_cpu);
  put_unless_empty(usage, "percpu_kernel", cpu.per_cpu_kernel);
  put_unless_empty(usage, "percpu_user", cpu.per_cpu_user);
  usage["kernel"] = cpu.kernel;
  usage["user"] = cpu.user;
  json throttling = json::object();
  put_unless_zero(throttling, "periods", cpu.periods);
  put_unless_zero(throttling, "throttledPeriods", cpu.throttled_periods);
  put_unless_zero(throttling, "throttledTime", cpu.throttled_time);
  json object = {{"usage", std::move(usage)}, {"throttling", std::move(throttling)}};
  put_pressure(object, cpu.pressure);
  return object;
}

json to_json(const CpusetStats& cpuset) {
  json object = json::object();
  const auto put_flag = [&object, &cpuset](const char* name) {
    const auto flag = cpuset.flags.find(name);
    object[name] = flag == cpuset.flags.end() ? 0 : flag->second;
  };
  put_unless_empty(object, "cpus", cpuset.cpus);
  put_flag("cpu_exclusive");
  put_unless_empty(object, "mems", cpuset.mems);
  for (const char* flag : {"mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page",
                           "memory_spread_slab", "memory_pressure", "sched_load_balance",
                           "sched_relax_domain_level"}) {
    put_flag(flag);
  }
  return object;
}

json to_json(const MemoryEntry& entry) {
  json object = {{"limit", entry.limit}};
  put_unless_zero(object, "usage", entry.usage);
  put_unless_zero(object, "max", entry.max_usage);
  object["failcnt"] = entry.failures;
  return object;
}

json to_json(const MemoryStats& memory) {
  json object = json::object();
  put_unless_zero(object, "cache", memory.cache);
  object["usage"] = to_json(memory.usage);
  object["swap"] = to_json(memory.swap);
  object["kernel"] = to_json(memory.kernel);
  object["kernelTCP"] = to_json(memory.kernel_tcp);
  if (!memory.raw.empty()) object["raw"] = memory.raw;
  put_pressure(object, memory.pressure);
  return object;
}

json to_json(const std::vector<BlockIoEntry>& table) {
  json list = json::array();
  for (const BlockIoEntry& entry : table) {
    json object = json::object();
    put_unless_zero(object, "major", entry.major);
    put_unless_zero(object, "minor", entry.minor);
    if (!entry.operation.empty()) object["op"] = entry.operation;
    put_unless_zero(object, "value", entry.value);
    list.push_back(std::move(object));
  }
  return list;
}

struct IoTable {
  const char* name;
  std::vector<BlockIoEntry> BlockIoStats::*table;
};
constexpr IoTable kIoTables[] = {
    {"ioServiceBytesRecursive", &BlockIoStats::bytes},
    {"ioServicedRecursive", &BlockIoStats::operations},
    {"ioQueueRecursive", &BlockIoStats::queued},
    {"ioServiceTimeRecursive", &BlockIoStats::service_time},
    {"ioWaitTimeRecursive", &BlockIoStats::wait_time},
    {"ioMergedRecursive", &BlockIoStats::merged},
    {"ioTimeRecursive", &BlockIoStats::time},
    {"sectorsRecursive", &BlockIoStats::sectors},
};

json to_json(const BlockIoStats& io) {
  json object = json::object();
  for (const IoTable& row : kIoTables) {
    if (!(io.*row.table).empty()) object[row.name] = to_json(io.*row.table);
  }
  put_pressure(object, io.pressure);
  return object;
}

json to_json(const std::map<std::string, HugepageStats>& sizes) {
  json object = json::object();
  for (const auto& [size, stats] : sizes) {
    json entry = json::object();
    put_unless_zero(entry, "usage", stats.usage);
    put_unless_zero(entry, "max", stats.max_usage);
    entry["failcnt"] = stats.failures;
    object[size] = std::move(entry);
  }
  return object;
}

}  // namespace

std::string stats_event_text(const std::string& id, const ContainerStats& stats) {
  json pids = json::object();
  put_unless_zero(pids, "current", stats.pids);
  put_unless_zero(pids, "limit", stats.pids_limit);
  const json data = {{"cpu", to_json(stats.cpu)},
                     {"cpuset", to_json(stats.cpuset)},
                     {"memory", to_json(stats.memory)},
                     {"pids", std::move(pids)},
                     {"blkio", to_json(stats.block_io)},
                     {"hugetlb", to_json(stats.hugepages)},
                     {"intel_rdt", json::object()},
                     {"network_interfaces", nullptr}};  // runc makes no interfaces, nor do we
  const json event = {{"type", "stats"}, {"id", id}, {"data", data}};
  return event.dump();
}

std::string oom_event_text(const std::string& id) {
  const json event = {{"type", "oom"}, {"id", id}};
  return event.dump();
}

}  // namespace sysbox::runc

#include "runc-ext/cgroup/unit_properties.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include "common/log.h"
#include "runc-ext/cgroup/device_rules.h"
#include "runc-ext/cgroup/limits.h"

namespace sysbox::runc {
namespace {

constexpr std::uint64_t kInfinity = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kDefaultPeriod = 100000;          // the kernel's, in microseconds
constexpr std::uint64_t kMicrosecondsPerPercent = 10000;  // of a second of one cpu
constexpr std::uint64_t kMaxCpus = 8192;
constexpr int kKnowsIdle = 252;  // CPUWeight=idle, as 0 on the bus

using Properties = std::vector<UnitProperty>;

std::uint64_t size_or_infinity(std::int64_t size) {
  return size < 0 ? kInfinity : static_cast<std::uint64_t>(size);
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t\n"), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(" \t\n") + 1);
}

// Rounds the quota up as systemd will do, so that what is written later is what it wrote.
void add_bandwidth(Properties& properties, std::int64_t& quota, std::uint64_t period) {
  if (quota == 0 && period == 0) return;
  if (period != 0) properties.push_back(unit_property("CPUQuotaPeriodUSec", period));
  std::uint64_t per_second = kInfinity;
  if (quota > 0) {
    if (period == 0) period = kDefaultPeriod;
    per_second = static_cast<std::uint64_t>(quota) * 1000000 / period;
    if (per_second % kMicrosecondsPerPercent != 0) {
      per_second = (per_second / kMicrosecondsPerPercent + 1) * kMicrosecondsPerPercent;
      quota = static_cast<std::int64_t>(per_second * period / 1000000);
    }
  }
  properties.push_back(unit_property("CPUQuotaPerSecUSec", per_second));
}

Result<void> add_cpu_mask(Properties& properties, const char* name, const std::string& list) {
  if (list.empty()) return {};
  properties.push_back({name, "ay", TRY(cpu_mask(list).in(join("cpuset '", list, "'")))});
  return {};
}

void add_device_rule(UnitProperty& allow, const DeviceException& rule) {
  const std::string kind = rule.type == 'b' ? "block" : "char";
  std::string device;
  if (rule.major == kAnyDevice && rule.minor == kAnyDevice) {
    device = kind + "-*";
  } else if (rule.major == kAnyDevice) {
    return;  // has no name in systemd; the cgroup's own rules have it
  } else if (rule.minor == kAnyDevice) {
    device = join(kind, "-", rule.major);
  } else {
    device = join("/dev/", kind, "/", rule.major, ":", rule.minor);
  }
  allow.values.emplace_back(std::move(device));
  allow.values.emplace_back(rule.access);
}

Result<void> add_devices(Properties& properties, const std::vector<OciDeviceRule>& devices) {
  const DeviceRules rules = TRY(reduce_device_rules(devices));
  properties.push_back({"DeviceAllow", "a(ss)", {}});  // an empty list clears what was there
  if (rules.allow_by_default && rules.exceptions.empty()) {
    properties.push_back(unit_property("DevicePolicy", std::string("auto")));
    return {};
  }
  properties.push_back(unit_property("DevicePolicy", std::string("strict")));
  if (rules.allow_by_default) {
    // Systemd cannot deny single devices: it denies all, until the cgroup's own rules are set.
    return {};
  }
  UnitProperty allow{"DeviceAllow", "a(ss)", {}};
  for (const DeviceException& rule : rules.exceptions) add_device_rule(allow, rule);
  properties.push_back(std::move(allow));
  return {};
}

void add_weight(Properties& properties, std::optional<std::uint64_t> weight, bool idle,
                const UnitFeatures& features) {
  if (idle && features.systemd_version >= kKnowsIdle) {
    properties.push_back(unit_property("CPUWeight", std::uint64_t{0}));
    if (weight) {
      log::warning("unable to apply both cpu shares or weight and cpu idle, ignoring the former");
    }
  } else if (weight) {
    properties.push_back(unit_property("CPUWeight", *weight));
  }
}

// ---- linux.resources.unified

struct UnifiedLimit {
  std::string_view file;
  const char* property;
};
constexpr std::array kUnifiedLimits = {
    UnifiedLimit{"memory.high", "MemoryHigh"},
    UnifiedLimit{"memory.low", "MemoryLow"},
    UnifiedLimit{"memory.max", "MemoryMax"},
    UnifiedLimit{"memory.min", "MemoryMin"},
    UnifiedLimit{"memory.swap.max", "MemorySwapMax"},
    UnifiedLimit{"pids.max", "TasksMax"},
    UnifiedLimit{"memory.zswap.max", "MemoryZSwapMax"},
};

Error bad_unified(std::string_view file, std::string_view value) {
  return {EINVAL, join("linux.resources.unified: '", file, "': '", value, "' is no value of it")};
}

Result<std::uint64_t> number_or_max(std::string_view file, std::string_view value) {
  if (value == "max") return kInfinity;
  const std::optional<std::uint64_t> number = parse_number(value);
  if (!number) return bad_unified(file, value);
  return *number;
}

Result<void> add_unified_bandwidth(Properties& properties, std::string_view value) {
  const std::size_t space = std::min(value.find(' '), value.size());
  const std::string_view quota_text = value.substr(0, space);
  const std::string_view period_text = trimmed(value.substr(space));
  const std::uint64_t quota = TRY(number_or_max("cpu.max", quota_text));
  std::uint64_t period = kDefaultPeriod;
  if (!period_text.empty()) {
    const std::optional<std::uint64_t> given = parse_number(period_text);
    if (!given || *given == 0) return bad_unified("cpu.max", value);
    period = *given;
  }
  std::int64_t signed_quota = quota == kInfinity ? 0 : static_cast<std::int64_t>(quota);
  add_bandwidth(properties, signed_quota, period);
  return {};
}

// What systemd has no name for only goes to the cgroup's file.
Result<void> add_unified(Properties& properties, const OciResources& resources,
                         const UnitFeatures& features) {
  std::optional<std::uint64_t> weight;
  bool idle = false;
  for (const auto& [file, text] : resources.unified) {
    const std::string_view value = trimmed(text);
    const auto* limit =
        std::find_if(kUnifiedLimits.begin(), kUnifiedLimits.end(),
                     [&file = file](const UnifiedLimit& row) { return row.file == file; });
    if (limit != kUnifiedLimits.end()) {
      properties.push_back(unit_property(limit->property, TRY(number_or_max(file, value))));
    } else if (file == "cpu.max") {
      TRY(add_unified_bandwidth(properties, value));
    } else if (file == "cpu.weight") {
      weight = parse_number(value);
      if (!weight) return bad_unified(file, value);
    } else if (file == "cpu.idle") {
      idle = value == "1";
    } else if (file == "cpuset.cpus") {
      TRY(add_cpu_mask(properties, "AllowedCPUs", std::string(value)));
    } else if (file == "cpuset.mems") {
      TRY(add_cpu_mask(properties, "AllowedMemoryNodes", std::string(value)));
    }
  }
  add_weight(properties, weight, idle, features);
  return {};
}

Result<void> add_v2_limits(Properties& properties, const OciResources& resources,
                           const UnitFeatures& features) {
  const OciMemory& memory = resources.memory;
  if (memory.limit.value_or(0) != 0) {
    properties.push_back(unit_property("MemoryMax", size_or_infinity(*memory.limit)));
  }
  if (memory.reservation.value_or(0) != 0) {
    properties.push_back(unit_property("MemoryLow", size_or_infinity(*memory.reservation)));
  }
  const std::optional<std::int64_t> swap = TRY(v2::swap_without_memory(memory));
  if (swap) properties.push_back(unit_property("MemorySwapMax", size_or_infinity(*swap)));
  const OciCpu& cpu = resources.cpu;
  std::optional<std::uint64_t> weight;
  if (cpu.shares.value_or(0) != 0) weight = v2::weight_of_shares(*cpu.shares);
  add_weight(properties, weight, cpu.idle == 1, features);
  return {};
}

void add_v1_limits(Properties& properties, const OciResources& resources) {
  if (resources.memory.limit.value_or(0) != 0) {
    properties.push_back(unit_property("MemoryLimit", size_or_infinity(*resources.memory.limit)));
  }
  if (resources.cpu.shares.value_or(0) != 0) {
    properties.push_back(unit_property("CPUShares", *resources.cpu.shares));
  }
  if (resources.block_io.weight.value_or(0) != 0) {
    properties.push_back(unit_property("BlockIOWeight", std::uint64_t{*resources.block_io.weight}));
  }
}

}  // namespace

UnitProperty unit_property(std::string name, bool value) { return {std::move(name), "b", {value}}; }
UnitProperty unit_property(std::string name, std::uint64_t value) {
  return {std::move(name), "t", {value}};
}
UnitProperty unit_property(std::string name, std::string value) {
  return {std::move(name), "s", {std::move(value)}};
}

Result<std::vector<UnitScalar>> cpu_mask(const std::string& list) {
  std::vector<std::uint64_t> bytes;
  std::string_view rest = list;
  while (!rest.empty()) {
    const std::string_view range = trimmed(rest.substr(0, rest.find(',')));
    rest.remove_prefix(std::min(rest.find(','), rest.size() - 1) + 1);
    if (range.empty()) continue;
    const std::size_t dash = range.find('-');
    const auto first = parse_number(range.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_number(range.substr(dash + 1));
    if (!first || !last || *first > *last || *last >= kMaxCpus) {
      return Error(EINVAL, join("'", range, "' is no number or range of numbers"));
    }
    for (std::uint64_t cpu = *first; cpu <= *last; ++cpu) {
      if (bytes.size() <= cpu / 8) bytes.resize(cpu / 8 + 1);
      bytes[cpu / 8] |= std::uint64_t{1} << (cpu % 8);
    }
  }
  if (bytes.empty()) return Error(EINVAL, "the list is empty");
  return std::vector<UnitScalar>(bytes.begin(), bytes.end());
}

Result<std::vector<UnitProperty>> resource_properties(OciResources& resources,
                                                      const UnitFeatures& features) {
  Properties properties;
  if (features.with_devices) TRY(add_devices(properties, resources.devices));
  if (features.v2) {
    TRY(add_v2_limits(properties, resources, features));
  } else {
    add_v1_limits(properties, resources);
  }
  OciCpu& cpu = resources.cpu;
  std::int64_t quota = cpu.quota.value_or(0);
  add_bandwidth(properties, quota, cpu.period.value_or(0));
  if (quota != 0) cpu.quota = quota;
  if (resources.pids_limit.value_or(0) != 0) {
    properties.push_back(unit_property("TasksMax", size_or_infinity(*resources.pids_limit)));
  }
  TRY(add_cpu_mask(properties, "AllowedCPUs", cpu.cpus));
  TRY(add_cpu_mask(properties, "AllowedMemoryNodes", cpu.mems));
  if (features.v2) TRY(add_unified(properties, resources, features));
  return properties;
}

}  // namespace sysbox::runc

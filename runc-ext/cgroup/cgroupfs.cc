// Limits on cgroup v2.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <sstream>

#include "common/log.h"
#include "common/syscalls.h"
#include "runc-ext/cgroup/limits.h"

namespace sysbox::runc::v2 {
namespace {

// The size with "unlimited" as v2 spells it.
std::string size_or_max(std::int64_t size) { return size < 0 ? "max" : std::to_string(size); }

std::optional<std::int64_t> parse_size(const std::string& text) {
  std::int64_t size = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), size).ec != std::errc()) return {};
  return size;
}

Result<void> write_swap(LimitFiles& files, OciMemory memory) {
  if (memory.swap.value_or(0) > 0 && memory.limit.value_or(0) == 0) {
    memory.limit = parse_size(TRY(files.read("memory.max")));
  }
  const std::optional<std::int64_t> swap = TRY(swap_without_memory(memory));
  if (!swap) return {};
  const std::string value = size_or_max(*swap);
  // No swap in the kernel, no file: then there is none to limit or to refuse.
  if ((value == "0" || value == "max") && !files.exists("memory.swap.max")) return {};
  return files.write({"swap limit", "memory.swap.max", value});
}

// "quota period"; the kernel keeps the period if it is left out, but wants a quota.
Result<std::string> bandwidth_value(const LimitFiles& files, const OciCpu& cpu) {
  const std::int64_t quota = cpu.quota.value_or(0);
  const std::uint64_t period = cpu.period.value_or(0);
  std::string value;
  if (quota != 0) {
    value = size_or_max(quota);
  } else {
    const std::string current = TRY(files.read("cpu.max"));
    value = current.empty() ? "max" : current.substr(0, current.find(' '));
  }
  return period == 0 ? value : join(value, " ", period);
}

// v1's 10…1000 onto v2's 1…10000.
std::string io_weight(std::uint16_t weight) {
  const unsigned clamped = std::clamp<unsigned>(weight, 10, 1000);
  return std::to_string(1 + (clamped - 10) * 9999 / 990);
}

// Older kernels show a single number, newer ones "default 100" and then the devices.
bool bfq_has_device_weights(const LimitFiles& files) {
  return files.read("io.bfq.weight").value_or("").starts_with("default");
}

struct Throttle {
  const char* what;
  const char* key;
  std::vector<OciBlockIoDevice> OciBlockIo::*devices;
};
constexpr Throttle kThrottles[] = {
    {"read throttle", "rbps", &OciBlockIo::throttle_read_bps},
    {"write throttle", "wbps", &OciBlockIo::throttle_write_bps},
    {"read throttle", "riops", &OciBlockIo::throttle_read_iops},
    {"write throttle", "wiops", &OciBlockIo::throttle_write_iops},
};

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

Result<void> enable_for_children(const std::string& directory) {
  const std::vector<std::string> available =
      words_of(TRY(sys::read_file(directory + "/cgroup.controllers")));
  const std::string path = directory + "/cgroup.subtree_control";
  const std::vector<std::string> enabled = words_of(TRY(sys::read_file(path)));
  std::vector<std::string> missing;
  for (const std::string& each : available) {
    if (std::find(enabled.begin(), enabled.end(), each) == enabled.end()) {
      missing.push_back("+" + each);
    }
  }
  std::string all;
  for (const std::string& each : missing) all += (all.empty() ? "" : " ") + each;
  if (missing.empty() || sys::write_file(path, all)) return {};
  // One refused (cpu, while a real-time process runs below) refuses all: each by itself.
  for (const std::string& each : missing) (void)sys::write_file(path, each).ok();
  return {};
}

}  // namespace

std::uint64_t weight_of_shares(std::uint64_t shares) {
  if (shares == 0) return 0;
  if (shares <= 2) return 1;
  if (shares >= 262144) return 10000;
  const double l = std::log2(static_cast<double>(shares));
  const double exponent = (l * l + 125 * l) / 612.0 - 7.0 / 34.0;
  return static_cast<std::uint64_t>(std::ceil(std::pow(10, exponent)));
}

Result<std::optional<std::int64_t>> swap_without_memory(const OciMemory& memory) {
  using Swap = std::optional<std::int64_t>;
  const std::int64_t swap = memory.swap.value_or(0);
  const std::int64_t limit = memory.limit.value_or(0);
  if (swap == 0) return limit == -1 ? Swap(-1) : Swap();
  if (swap < 0) return Swap(-1);
  if (limit <= 0) {
    return Error(EINVAL, "memory and swap limit: unable to set swap limit without memory limit");
  }
  if (swap < limit) {
    return Error(EINVAL, join("memory+swap limit should be >= memory limit: ", swap,
                              " is less than ", limit));
  }
  return Swap(swap - limit);
}

Result<void> check_usage(const std::string& directory, const OciMemory& memory) {
  const std::int64_t limit = memory.limit.value_or(0), both = memory.swap.value_or(0);
  if (!memory.check_before_update.value_or(false) || (limit <= 0 && both <= 0)) return {};
  const Result<std::string> text = sys::read_file(directory + "/memory.current");
  if (!text) return {};  // no controller: the limit itself will be refused
  const std::int64_t usage = parse_size(text.value()).value_or(0);
  if (both > 0 && both <= usage) {
    return Error(EBUSY, join("rejecting memory+swap limit ", both, " <= usage ", usage));
  }
  if (limit > 0 && limit <= usage) {
    return Error(EBUSY, join("rejecting memory limit ", limit, " <= usage ", usage));
  }
  return {};
}

Result<void> apply_memory(LimitFiles& files, const OciResources& resources) {
  const OciMemory& memory = resources.memory;
  TRY(check_usage(files.directory(), memory));
  TRY(write_swap(files, memory));
  if (memory.limit.value_or(0) != 0) {
    TRY(files.write({"memory limit", "memory.max", size_or_max(*memory.limit)}));
  }
  if (memory.reservation.value_or(0) != 0) {
    TRY(files.write({"memory reservation", "memory.low", size_or_max(*memory.reservation)}));
  }
  if (memory.swappiness || memory.disable_oom_killer.value_or(false)) {
    log::warning("memory swappiness and disableOOMKiller: cgroup v2 has none, ignoring");
  }
  return {};
}

Result<void> apply_cpu(LimitFiles& files, const OciResources& resources) {
  const OciCpu& cpu = resources.cpu;
  if (cpu.realtime_runtime.value_or(0) != 0 || cpu.realtime_period.value_or(0) != 0) {
    log::warning("cpu realtime limit: cgroup v2 has none, ignoring");
  }
  if (cpu.idle) TRY(files.write({"cpu idle", "cpu.idle", std::to_string(*cpu.idle)}));
  // An idle cgroup has no weight; the kernel refuses one.
  if (cpu.shares.value_or(0) != 0 && cpu.idle.value_or(0) == 0) {
    TRY(files.write({"cpu shares", "cpu.weight", std::to_string(weight_of_shares(*cpu.shares))}));
  }
  std::vector<LimitValue> limits;
  if (cpu.quota.value_or(0) != 0 || cpu.period.value_or(0) != 0) {
    const Result<std::string> value = bandwidth_value(files, cpu);
    if (value) {
      limits.push_back({"cpu quota", "cpu.max", value.value()});
    } else if (value.error().code() != ENOENT) {
      return Error(value.error());
    } else {
      limits.push_back({"cpu quota", "cpu.max", "max"});  // its write explains what is missing
    }
  }
  if (cpu.burst) limits.push_back({"cpu burst", "cpu.max.burst", std::to_string(*cpu.burst)});
  return limits.empty() ? Result<void>() : files.write_dependent(limits);
}

Result<void> apply_cpuset(LimitFiles& files, const OciResources& resources) {
  const OciCpu& cpu = resources.cpu;
  if (!cpu.cpus.empty()) TRY(files.write({"cpuset cpus", "cpuset.cpus", cpu.cpus}));
  if (!cpu.mems.empty()) TRY(files.write({"cpuset mems", "cpuset.mems", cpu.mems}));
  return {};
}

Result<void> apply_pids(LimitFiles& files, const OciResources& resources) {
  const std::int64_t limit = *resources.pids_limit;
  return files.write({"pids limit", "pids.max", limit > 0 ? std::to_string(limit) : "max"});
}

Result<void> apply_block_io(LimitFiles& files, const OciResources& resources) {
  const OciBlockIo& io = resources.block_io;
  const bool bfq = files.exists("io.bfq.weight");
  const std::string file = bfq ? "io.bfq.weight" : "io.weight";
  const auto weight_text = [bfq](std::uint16_t weight) {
    return bfq ? std::to_string(weight) : io_weight(weight);
  };
  if (io.weight.value_or(0) != 0) {
    TRY(files.write({"block io weight", file, weight_text(*io.weight)}));
  }
  // Weights of single devices are a wish: without a scheduler that knows them they mean nothing.
  const bool of_devices = files.exists(file) && (!bfq || bfq_has_device_weights(files));
  for (const OciBlockIoDevice& device : io.weight_device) {
    if (device.weight.value_or(0) == 0 || !of_devices) continue;
    TRY(files.write({"block io weight", file, device_value(device, weight_text(*device.weight))}));
  }
  for (const Throttle& throttle : kThrottles) {
    for (const OciBlockIoDevice& device : io.*throttle.devices) {
      const std::string rate = device.rate == 0 ? "max" : std::to_string(device.rate);
      TRY(files.write(
          {throttle.what, "io.max", device_value(device, join(throttle.key, "=", rate))}));
    }
  }
  return {};
}

Result<void> apply_hugepages(LimitFiles& files, const OciResources& resources) {
  for (const OciHugepageLimit& each : resources.hugepage_limits) {
    const std::string value = std::to_string(each.limit);
    const std::string prefix = join("hugetlb.", each.page_size, ".");
    TRY(files.write({"huge page limit", prefix + "max", value}));
    // Reservations are limited since Linux 5.7.
    if (files.exists(prefix + "rsvd.max")) {
      TRY(files.write({"huge page limit", prefix + "rsvd.max", value}));
    }
  }
  return {};
}

Result<void> apply_unified(const std::string& directory, const OciResources& resources) {
  for (const auto& [file, value] : resources.unified) {
    if (file.empty() || file == "." || file == ".." || file.find('/') != std::string::npos) {
      return Error(EINVAL, join("linux.resources.unified: '", file, "' is no cgroup file"));
    }
    LimitFiles files(directory, file.substr(0, file.find('.')), false);
    // Files such as io.max take one line a write.
    std::istringstream lines(value);
    for (std::string line; std::getline(lines, line);) {
      TRY(files.write({"linux.resources.unified", file, line}));
    }
  }
  return {};
}

Result<void> enable_controllers(const std::string& mount_point, const std::string& directory) {
  std::size_t slash = mount_point.size();
  while (slash < directory.size()) {
    TRY(enable_for_children(directory.substr(0, slash)));
    slash = std::min(directory.find('/', slash + 1), directory.size());
  }
  return {};
}

}  // namespace sysbox::runc::v2

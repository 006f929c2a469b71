// Limits on cgroup v1. Where the kernel refuses a smaller limit because cgroups below, which the
// container's root made, still have a larger one, those are narrowed: a tenant must not be able
// to keep the host from lowering its limits.

#include <algorithm>
#include <charconv>
#include <set>

#include "common/syscalls.h"
#include "runc-ext/cgroup/cgroup_tree.h"
#include "runc-ext/cgroup/device_rules.h"
#include "runc-ext/cgroup/limits.h"

namespace sysbox::runc::v1 {
namespace {

Result<std::int64_t> read_number(const std::string& path) {
  const std::string text = TRY(sys::read_file(path));
  std::int64_t number = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc()) {
    return errno_error(EINVAL, "'", path, "' is '", text, "'");
  }
  return number;
}

// What the numbers of a refused memory limit are worth knowing for.
Result<void> with_usage(Result<void> result, const LimitFiles& files) {
  if (result || result.error().code() != EBUSY) return result;
  const auto usage = read_number(files.directory() + "/memory.usage_in_bytes");
  if (!usage) return result;
  return Error(EBUSY, join(result.error().message(), " (in use: ", usage.value(), " bytes)"));
}

Result<void> check_usage(const OciMemory& memory, const LimitFiles& files) {
  if (!memory.check_before_update.value_or(false) || memory.limit.value_or(0) <= 0) return {};
  const std::int64_t usage = TRY(read_number(files.directory() + "/memory.usage_in_bytes"));
  if (usage <= *memory.limit) return {};
  return Error(EBUSY,
               join("memory limit: ", *memory.limit, " is below the ", usage, " bytes in use"));
}

// Takes the bandwidth limits off cgroups below that allow more than quota/period.
Result<void> lift_larger_quotas(const std::string& directory, std::int64_t quota,
                                std::int64_t period) {
  std::vector<std::string> tree = TRY(cgroup_tree(directory));
  for (auto each = tree.rbegin(); each != tree.rend() && *each != directory; ++each) {
    const Result<std::int64_t> its_quota = read_number(*each + "/cpu.cfs_quota_us");
    const Result<std::int64_t> its_period = read_number(*each + "/cpu.cfs_period_us");
    if (!its_quota || !its_period || its_quota.value() < 0) continue;
    if (static_cast<double>(its_quota.value()) * static_cast<double>(period) <=
        static_cast<double>(quota) * static_cast<double>(its_period.value())) {
      continue;
    }
    TRY(sys::write_file(*each + "/cpu.cfs_quota_us", "-1"));
  }
  return {};
}

Result<void> apply_bandwidth(LimitFiles& files, const OciCpu& cpu) {
  std::vector<LimitValue> limits;
  if (cpu.period.value_or(0) != 0) {
    limits.push_back({"cpu period", "cpu.cfs_period_us", std::to_string(*cpu.period), Shown::kYes});
  }
  if (cpu.quota.value_or(0) != 0) {
    limits.push_back({"cpu quota", "cpu.cfs_quota_us", std::to_string(*cpu.quota), Shown::kYes});
  }
  if (cpu.burst) {
    limits.push_back({"cpu burst", "cpu.cfs_burst_us", std::to_string(*cpu.burst)});
  }
  if (limits.empty()) return {};
  Result<void> result = files.write_dependent(limits);
  if (result || result.error().code() != EINVAL) return result;

  const std::int64_t quota = cpu.quota.value_or(0) != 0
                                 ? *cpu.quota
                                 : TRY(read_number(files.directory() + "/cpu.cfs_quota_us"));
  const std::int64_t period = cpu.period.value_or(0) != 0
                                  ? static_cast<std::int64_t>(*cpu.period)
                                  : TRY(read_number(files.directory() + "/cpu.cfs_period_us"));
  if (quota < 0) return result;
  TRY(lift_larger_quotas(files.directory(), quota, period));
  return files.write_dependent(limits);
}

Result<void> apply_realtime(LimitFiles& files, const OciCpu& cpu) {
  std::vector<LimitValue> limits;
  if (cpu.realtime_period.value_or(0) != 0) {
    limits.push_back({"cpu realtime period", "cpu.rt_period_us",
                      std::to_string(*cpu.realtime_period), Shown::kYes});
  }
  if (cpu.realtime_runtime.value_or(0) != 0) {
    limits.push_back({"cpu realtime runtime", "cpu.rt_runtime_us",
                      std::to_string(*cpu.realtime_runtime), Shown::kYes});
  }
  return limits.empty() ? Result<void>() : files.write_dependent(limits);
}

// "0-2,5" → {0, 1, 2, 5}; what is no such list gives the part that was understood.
std::set<int> parse_cpu_list(const std::string& text) {
  std::set<int> cpus;
  const char* next = text.data();
  const char* const end = next + text.size();
  while (next < end) {
    int first = 0;
    auto [stop, error] = std::from_chars(next, end, first);
    if (error != std::errc()) break;
    int last = first;
    if (stop < end && *stop == '-') stop = std::from_chars(stop + 1, end, last).ptr;
    for (int cpu = first; cpu <= last && cpu < (1 << 16); ++cpu) cpus.insert(cpu);
    next = stop < end && *stop == ',' ? stop + 1 : end;
  }
  return cpus;
}

std::string intersection(const std::string& a, const std::string& b) {
  const std::set<int> in_b = parse_cpu_list(b);
  std::string common;
  for (const int cpu : parse_cpu_list(a)) {
    if (in_b.contains(cpu)) common += join(common.empty() ? "" : ",", cpu);
  }
  return common;
}

// A cpuset must hold its children's, so when all move to others: first everybody gets both, from
// the top; then each is narrowed, from the bottom, to what it had of the new set, or all of it.
Result<void> narrow_cpuset_tree(const std::string& directory, const LimitValue& limit) {
  std::vector<std::string> tree = TRY(cgroup_tree(directory));
  std::vector<std::string> old_values;
  for (const std::string& each : tree) {
    const std::string path = join(each, "/", limit.file);
    std::string old_value = sys::read_file(path).value_or("");
    while (!old_value.empty() && old_value.back() == '\n') old_value.pop_back();
    old_values.push_back(old_value);
    TRY(sys::write_file(path, old_value.empty() ? limit.value : old_value + "," + limit.value));
  }
  for (std::size_t i = tree.size(); i-- > 1;) {
    const std::string kept = intersection(old_values[i], limit.value);
    TRY(sys::write_file(join(tree[i], "/", limit.file), kept.empty() ? limit.value : kept));
  }
  return sys::write_file(join(directory, "/", limit.file), limit.value);
}

Result<void> write_cpuset(LimitFiles& files, const LimitValue& limit) {
  Result<void> result = files.write(limit);
  if (result) return {};
  const int code = result.error().code();
  if (code == EBUSY) return narrow_cpuset_tree(files.directory(), limit).in(limit.what);
  if (code != EACCES) return result;
  return Error(code, result.error().message() + " (the cgroup above does not have all of them)");
}

// BFQ's name since the old scheduler left the kernel (5.0).
std::string weight_file(const LimitFiles& files, const std::string& suffix) {
  const std::string plain = "blkio.weight" + suffix;
  return files.exists(plain) ? plain : "blkio.bfq.weight" + suffix;
}

struct Throttle {
  const char* what;
  const char* file;
  std::vector<OciBlockIoDevice> OciBlockIo::*devices;
};
constexpr Throttle kThrottles[] = {
    {"read throttle", "blkio.throttle.read_bps_device", &OciBlockIo::throttle_read_bps},
    {"write throttle", "blkio.throttle.write_bps_device", &OciBlockIo::throttle_write_bps},
    {"read throttle", "blkio.throttle.read_iops_device", &OciBlockIo::throttle_read_iops},
    {"write throttle", "blkio.throttle.write_iops_device", &OciBlockIo::throttle_write_iops},
};

Result<void> write_rule(int fd, const std::string& file, const std::string& rule) {
  if (::write(fd, rule.data(), rule.size()) >= 0) return {};
  return last_error("device rule: write '", rule, "' to '", file, "'");
}

}  // namespace

Result<void> apply_memory(LimitFiles& files, const OciResources& resources) {
  const OciMemory& memory = resources.memory;
  TRY(check_usage(memory, files));
  const std::int64_t limit = memory.limit.value_or(0);
  std::int64_t swap = memory.swap.value_or(0);
  // Without this, "unlimited" would be refused for being above the old limit with swap.
  if (limit == -1 && swap == 0) swap = -1;
  // Kernels without swap accounting lack the file, and have no limit to lift.
  if (swap == -1 && !files.exists("memory.memsw.limit_in_bytes")) swap = 0;

  std::vector<LimitValue> sizes;
  if (limit != 0) {
    sizes.push_back({"memory limit", "memory.limit_in_bytes", std::to_string(limit), Shown::kYes});
  }
  if (swap != 0) {
    sizes.push_back({"memory and swap limit", "memory.memsw.limit_in_bytes", std::to_string(swap),
                     Shown::kYes});
  }
  if (!sizes.empty()) TRY(with_usage(files.write_dependent(sizes), files));
  if (memory.reservation.value_or(0) != 0) {
    TRY(files.write({"memory reservation", "memory.soft_limit_in_bytes",
                     std::to_string(*memory.reservation), Shown::kYes}));
  }
  if (memory.swappiness) {
    TRY(files.write({"memory swappiness", "memory.swappiness", std::to_string(*memory.swappiness),
                     Shown::kYes}));
  }
  if (memory.disable_oom_killer) {
    TRY(files.write(
        {"oom killer switch", "memory.oom_control", *memory.disable_oom_killer ? "1" : "0"}));
  }
  return {};
}

Result<void> apply_cpu(LimitFiles& files, const OciResources& resources) {
  const OciCpu& cpu = resources.cpu;
  if (cpu.idle) TRY(files.write({"cpu idle", "cpu.idle", std::to_string(*cpu.idle)}));
  // An idle cgroup has no shares; the kernel refuses them.
  if (cpu.shares.value_or(0) != 0 && cpu.idle.value_or(0) == 0) {
    TRY(files.write({"cpu shares", "cpu.shares", std::to_string(*cpu.shares), Shown::kYes}));
  }
  TRY(apply_realtime(files, cpu));
  return apply_bandwidth(files, cpu);
}

Result<void> apply_cpuset(LimitFiles& files, const OciResources& resources) {
  const OciCpu& cpu = resources.cpu;
  if (!cpu.cpus.empty()) {
    TRY(write_cpuset(files, {"cpuset cpus", "cpuset.cpus", cpu.cpus, Shown::kYes}));
  }
  if (!cpu.mems.empty()) {
    TRY(write_cpuset(files, {"cpuset mems", "cpuset.mems", cpu.mems, Shown::kYes}));
  }
  return {};
}

Result<void> apply_pids(LimitFiles& files, const OciResources& resources) {
  const std::int64_t limit = *resources.pids_limit;
  return files.write(
      {"pids limit", "pids.max", limit > 0 ? std::to_string(limit) : "max", Shown::kYes});
}

Result<void> apply_block_io(LimitFiles& files, const OciResources& resources) {
  const OciBlockIo& io = resources.block_io;
  if (io.weight.value_or(0) != 0) {
    TRY(files.write({"block io weight", weight_file(files, ""), std::to_string(*io.weight)}));
  }
  if (io.leaf_weight.value_or(0) != 0) {
    TRY(files.write(
        {"block io leaf weight", "blkio.leaf_weight", std::to_string(*io.leaf_weight)}));
  }
  for (const OciBlockIoDevice& device : io.weight_device) {
    if (device.weight.value_or(0) != 0) {
      TRY(files.write({"block io weight", weight_file(files, "_device"),
                       device_value(device, std::to_string(*device.weight))}));
    }
    if (device.leaf_weight.value_or(0) != 0) {
      TRY(files.write({"block io leaf weight", "blkio.leaf_weight_device",
                       device_value(device, std::to_string(*device.leaf_weight))}));
    }
  }
  for (const Throttle& throttle : kThrottles) {
    for (const OciBlockIoDevice& device : io.*throttle.devices) {
      TRY(files.write({throttle.what, throttle.file,
                       device_value(device, std::to_string(device.rate)), Shown::kYes}));
    }
  }
  return {};
}

Result<void> apply_hugepages(LimitFiles& files, const OciResources& resources) {
  for (const OciHugepageLimit& each : resources.hugepage_limits) {
    const std::string value = std::to_string(each.limit);
    const std::string prefix = join("hugetlb.", each.page_size, ".");
    TRY(files.write({"huge page limit", prefix + "limit_in_bytes", value}));
    // Reservations are limited since Linux 5.7.
    if (files.exists(prefix + "rsvd.limit_in_bytes")) {
      TRY(files.write({"huge page limit", prefix + "rsvd.limit_in_bytes", value}));
    }
  }
  return {};
}

Result<void> apply_network_class(LimitFiles& files, const OciResources& resources) {
  return files.write({"network class", "net_cls.classid",
                      std::to_string(*resources.network_class_id), Shown::kYes});
}

Result<void> apply_network_priorities(LimitFiles& files, const OciResources& resources) {
  for (const OciInterfacePriority& each : resources.network_priorities) {
    TRY(files.write({"network priority", "net_prio.ifpriomap", join(each.name, " ", each.priority),
                     Shown::kYes}));
  }
  return {};
}

Result<void> set_devices(const std::string& directory, const std::vector<OciDeviceRule>& rules) {
  const DeviceRules reduced = TRY(reduce_device_rules(rules));
  const std::string first =
      directory + (reduced.allow_by_default ? "/devices.allow" : "/devices.deny");
  TRY(sys::write_file(first, "a").in("device rules"));
  const std::string second =
      directory + (reduced.allow_by_default ? "/devices.deny" : "/devices.allow");
  const UniqueFd fd = TRY(sys::open(second, O_WRONLY));
  for (const DeviceException& exception : reduced.exceptions) {
    TRY(write_rule(fd.get(), second, device_rule_text(exception)));
  }
  return {};
}

Result<void> fill_cpuset(const std::string& mount_point, const std::string& directory) {
  // A parent with clone_children has done it all already; its children inherit that flag too.
  if (TRY(sys::read_file(directory + "/cpuset.cpus")).size() > 1) return {};
  std::size_t slash = mount_point.size();
  std::string parent = mount_point;
  while (slash < directory.size()) {
    slash = std::min(directory.find('/', slash + 1), directory.size());
    const std::string child = directory.substr(0, slash);
    bool filled = false;
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
      if (TRY(sys::read_file(child + file)).size() > 1) continue;
      const std::string inherited = TRY(sys::read_file(parent + file));
      TRY(sys::write_file(child + file, inherited));
      filled = true;
    }
    if (filled) TRY(sys::write_file(child + "/cgroup.clone_children", "1"));
    parent = child;
  }
  return {};
}

}  // namespace sysbox::runc::v1

#include "runc-ext/cgroup/limits.h"

#include <unistd.h>

#include <algorithm>

#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

// 0 stands for "not set" where a limit of 0 would make no sense: Docker sends zeros.
template <typename Number>
bool is_set(const std::optional<Number>& value) {
  return value.has_value() && *value != 0;
}

Asked asked_memory(const OciResources& resources) {
  const OciMemory& memory = resources.memory;
  bool unlimited = memory.disable_oom_killer.has_value();
  for (const auto& value : {memory.limit, memory.reservation, memory.swap}) {
    if (value.value_or(0) > 0) return Asked::kLimit;
    unlimited = unlimited || is_set(value);
  }
  if (memory.swappiness || memory.disable_oom_killer.value_or(false)) return Asked::kLimit;
  return unlimited ? Asked::kUnlimited : Asked::kNothing;
}

Asked asked_cpu(const OciResources& resources) {
  const OciCpu& cpu = resources.cpu;
  if (is_set(cpu.shares) || cpu.quota.value_or(0) > 0 || is_set(cpu.burst) ||
      is_set(cpu.realtime_runtime) || is_set(cpu.realtime_period) || is_set(cpu.idle)) {
    return Asked::kLimit;
  }
  const bool unlimited = is_set(cpu.quota) || is_set(cpu.period) || cpu.burst || cpu.idle;
  return unlimited ? Asked::kUnlimited : Asked::kNothing;
}

Asked asked_cpuset(const OciResources& resources) {
  const OciCpu& cpu = resources.cpu;
  return cpu.cpus.empty() && cpu.mems.empty() ? Asked::kNothing : Asked::kLimit;
}

Asked asked_pids(const OciResources& resources) {
  if (!is_set(resources.pids_limit)) return Asked::kNothing;
  return *resources.pids_limit > 0 ? Asked::kLimit : Asked::kUnlimited;
}

Asked asked_block_io(const OciResources& resources) {
  const OciBlockIo& io = resources.block_io;
  const bool asked = is_set(io.weight) || is_set(io.leaf_weight) || !io.weight_device.empty() ||
                     !io.throttle_read_bps.empty() || !io.throttle_write_bps.empty() ||
                     !io.throttle_read_iops.empty() || !io.throttle_write_iops.empty();
  return asked ? Asked::kLimit : Asked::kNothing;
}

// Kubernetes sends a limit of 0 for each page size, hugetlb controller or not.
Asked asked_hugepages(const OciResources& resources) {
  const auto& limits = resources.hugepage_limits;
  if (limits.empty()) return Asked::kNothing;
  const bool any =
      std::any_of(limits.begin(), limits.end(), [](const auto& each) { return each.limit != 0; });
  return any ? Asked::kLimit : Asked::kUnlimited;
}

Asked asked_network_class(const OciResources& resources) {
  return is_set(resources.network_class_id) ? Asked::kLimit : Asked::kNothing;
}

Asked asked_network_priorities(const OciResources& resources) {
  return resources.network_priorities.empty() ? Asked::kNothing : Asked::kLimit;
}

Asked asked_rdma(const OciResources& resources) {
  return resources.rdma.empty() ? Asked::kNothing : Asked::kLimit;
}

bool has_throttles(const OciResources& resources) {
  const OciBlockIo& io = resources.block_io;
  return !io.throttle_read_bps.empty() || !io.throttle_write_bps.empty() ||
         !io.throttle_read_iops.empty() || !io.throttle_write_iops.empty();
}

bool has_network_class(const OciResources& resources) {
  return asked_network_class(resources) != Asked::kNothing;
}

bool has_network_priorities(const OciResources& resources) {
  return !resources.network_priorities.empty();
}

}  // namespace

const std::vector<LimitKind>& limit_kinds() {
  static const std::vector<LimitKind> kinds = {
      {"memory limit", "memory", "memory", asked_memory, v1::apply_memory, v2::apply_memory,
       nullptr},
      {"cpu limit", "cpu", "cpu", asked_cpu, v1::apply_cpu, v2::apply_cpu, nullptr},
      {"cpuset", "cpuset", "cpuset", asked_cpuset, v1::apply_cpuset, v2::apply_cpuset, nullptr},
      {"pids limit", "pids", "pids", asked_pids, v1::apply_pids, v2::apply_pids, nullptr},
      {"block io limit", "blkio", "io", asked_block_io, v1::apply_block_io, v2::apply_block_io,
       has_throttles},
      {"huge page limit", "hugetlb", "hugetlb", asked_hugepages, v1::apply_hugepages,
       v2::apply_hugepages, nullptr},
      {"network class", "net_cls", nullptr, asked_network_class, v1::apply_network_class, nullptr,
       has_network_class},
      {"network priority", "net_prio", nullptr, asked_network_priorities,
       v1::apply_network_priorities, nullptr, has_network_priorities},
      {"rdma limit", "rdma", "rdma", asked_rdma, apply_rdma, apply_rdma, nullptr},
  };
  return kinds;
}

Error LimitFiles::explain(const LimitValue& limit, int code) const {
  const std::string path = join(directory_, "/", limit.file);
  if (code == ENOENT) {
    // v2 says which controllers the directory has; a v1 hierarchy always has its own.
    const Result<std::string> controllers = sys::read_file(directory_ + "/cgroup.controllers");
    if (controllers) {
      std::string words = " " + controllers.value();
      std::replace(words.begin(), words.end(), '\n', ' ');
      if (words.find(" " + controller_ + " ") == std::string::npos) {
        return {ENOTSUP, join(limit.what, ": the host has no ", controller_, " controller for '",
                              directory_, "' (controllers there:",
                              words.size() > 2 ? words.substr(0, words.size() - 1) : " none", ")")};
      }
    }
    return {ENOTSUP, join(limit.what, ": '", path, "': not supported by this kernel")};
  }
  return errno_error(code, limit.what, ": write '", limit.value, "' to '", path, "'");
}

Result<void> LimitFiles::write(const LimitValue& limit) {
  const Result<void> result = sys::write_file(join(directory_, "/", limit.file), limit.value);
  if (result) {
    if (limit.shown == Shown::kYes) written_.push_back(limit);
    return {};
  }
  const int code = result.error().code();
  if (code == ENOENT && tolerate_missing_) return {};
  return explain(limit, code);
}

Result<void> LimitFiles::write_dependent(std::vector<LimitValue> limits) {
  for (;;) {
    std::vector<LimitValue> refused;
    for (const LimitValue& limit : limits) {
      const Result<void> result = write(limit);
      if (result) continue;
      if (result.error().code() != EINVAL) return Error(result.error());
      refused.push_back(limit);
    }
    if (refused.empty()) return {};
    if (refused.size() == limits.size()) return explain(refused.front(), EINVAL);
    limits = std::move(refused);
  }
}

bool LimitFiles::exists(const std::string& file) const {
  return ::access(join(directory_, "/", file).c_str(), F_OK) == 0;
}

Result<std::string> LimitFiles::read(const std::string& file) const {
  std::string text = TRY(sys::read_file(join(directory_, "/", file)));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::string device_value(const OciBlockIoDevice& device, const std::string& value) {
  return join(device.major, ":", device.minor, " ", value);
}

Result<void> apply_rdma(LimitFiles& files, const OciResources& resources) {
  for (const auto& [device, limit] : resources.rdma) {
    std::string value = device;
    if (limit.hca_handles) value += join(" hca_handle=", *limit.hca_handles);
    if (limit.hca_objects) value += join(" hca_object=", *limit.hca_objects);
    TRY(files.write({"rdma limit", "rdma.max", value}));
  }
  return {};
}

}  // namespace sysbox::runc

#include "runc-ext/cgroup/resource_update.h"

#include <algorithm>

namespace sysbox::runc {
namespace {

template <typename T>
void replace(std::optional<T>& kept, const std::optional<T>& asked) {
  if (asked) kept = asked;
}
void replace(std::string& kept, const std::string& asked) {
  if (!asked.empty()) kept = asked;
}

bool same_device(const OciBlockIoDevice& a, const OciBlockIoDevice& b) {
  return a.major == b.major && a.minor == b.minor;
}

void replace_devices(std::vector<OciBlockIoDevice>& kept,
                     const std::vector<OciBlockIoDevice>& asked) {
  for (const OciBlockIoDevice& device : asked) {
    const auto found = std::find_if(kept.begin(), kept.end(), [&device](const auto& each) {
      return same_device(each, device);
    });
    if (found == kept.end()) {
      kept.push_back(device);
      continue;
    }
    replace(found->weight, device.weight);
    replace(found->leaf_weight, device.leaf_weight);
    found->rate = device.rate;
  }
}

void replace_block_io(OciBlockIo& kept, const OciBlockIo& asked) {
  replace(kept.weight, asked.weight);
  replace(kept.leaf_weight, asked.leaf_weight);
  replace_devices(kept.weight_device, asked.weight_device);
  replace_devices(kept.throttle_read_bps, asked.throttle_read_bps);
  replace_devices(kept.throttle_write_bps, asked.throttle_write_bps);
  replace_devices(kept.throttle_read_iops, asked.throttle_read_iops);
  replace_devices(kept.throttle_write_iops, asked.throttle_write_iops);
}

void replace_cpu(OciCpu& kept, const OciCpu& asked) {
  replace(kept.shares, asked.shares);
  replace(kept.quota, asked.quota);
  replace(kept.burst, asked.burst);
  replace(kept.period, asked.period);
  replace(kept.realtime_runtime, asked.realtime_runtime);
  replace(kept.realtime_period, asked.realtime_period);
  replace(kept.idle, asked.idle);
  replace(kept.cpus, asked.cpus);
  replace(kept.mems, asked.mems);
}

void replace_memory(OciMemory& kept, const OciMemory& asked) {
  replace(kept.limit, asked.limit);
  replace(kept.reservation, asked.reservation);
  replace(kept.swap, asked.swap);
  // Without a memory limit there can be none of both together.
  if (asked.limit == -1 && !asked.swap) kept.swap.reset();
  replace(kept.swappiness, asked.swappiness);
  replace(kept.disable_oom_killer, asked.disable_oom_killer);
  replace(kept.check_before_update, asked.check_before_update);
}

void replace_hugepages(std::vector<OciHugepageLimit>& kept,
                       const std::vector<OciHugepageLimit>& asked) {
  for (const OciHugepageLimit& limit : asked) {
    const auto found = std::find_if(kept.begin(), kept.end(), [&limit](const auto& each) {
      return each.page_size == limit.page_size;
    });
    if (found == kept.end()) {
      kept.push_back(limit);
    } else {
      found->limit = limit.limit;
    }
  }
}

}  // namespace

OciResources resources_to_keep(const OciResources& has, const OciResources& asked) {
  OciResources kept = has;
  replace_memory(kept.memory, asked.memory);
  replace_cpu(kept.cpu, asked.cpu);
  replace_block_io(kept.block_io, asked.block_io);
  replace_hugepages(kept.hugepage_limits, asked.hugepage_limits);
  replace(kept.pids_limit, asked.pids_limit);
  replace(kept.network_class_id, asked.network_class_id);
  if (!asked.network_priorities.empty()) kept.network_priorities = asked.network_priorities;
  for (const auto& [device, limit] : asked.rdma) kept.rdma[device] = limit;
  for (const auto& [file, value] : asked.unified) kept.unified[file] = value;
  return kept;
}

OciResources resources_to_apply(const OciResources& has, const OciResources& asked) {
  OciResources applied = asked;
  // A container keeps the devices that it was made with; engines repeat them in each update.
  applied.devices.clear();
  if (asked.memory.limit || asked.memory.swap) {
    OciMemory memory = has.memory;
    replace_memory(memory, asked.memory);
    applied.memory.limit = memory.limit;
    applied.memory.swap = memory.swap;
  }
  if (asked.cpu.quota.has_value() != asked.cpu.period.has_value()) {
    if (!asked.cpu.quota) applied.cpu.quota = has.cpu.quota;
    if (!asked.cpu.period) applied.cpu.period = has.cpu.period;
  }
  return applied;
}

}  // namespace sysbox::runc

#include "runc-ext/oci/resources_json.h"

#include <nlohmann/json.hpp>

namespace sysbox::runc {
namespace {

using nlohmann::json;

template <typename T>
void put(json& object, const char* name, const std::optional<T>& value) {
  if (value) object[name] = *value;
}

void put(json& object, const char* name, const std::string& value) {
  if (!value.empty()) object[name] = value;
}

void put_object(json& object, const char* name, json member) {
  if (!member.empty()) object[name] = std::move(member);
}

json memory_json(const OciMemory& memory) {
  json object = json::object();
  put(object, "limit", memory.limit);
  put(object, "reservation", memory.reservation);
  put(object, "swap", memory.swap);
  put(object, "swappiness", memory.swappiness);
  put(object, "disableOOMKiller", memory.disable_oom_killer);
  put(object, "checkBeforeUpdate", memory.check_before_update);
  return object;
}

json cpu_json(const OciCpu& cpu) {
  json object = json::object();
  put(object, "shares", cpu.shares);
  put(object, "quota", cpu.quota);
  put(object, "burst", cpu.burst);
  put(object, "period", cpu.period);
  put(object, "realtimeRuntime", cpu.realtime_runtime);
  put(object, "realtimePeriod", cpu.realtime_period);
  put(object, "idle", cpu.idle);
  put(object, "cpus", cpu.cpus);
  put(object, "mems", cpu.mems);
  return object;
}

enum class Holds { kWeights, kRate };

json devices_json(const std::vector<OciBlockIoDevice>& devices, Holds holds) {
  json list = json::array();
  for (const OciBlockIoDevice& device : devices) {
    json object = {{"major", device.major}, {"minor", device.minor}};
    if (holds == Holds::kRate) object["rate"] = device.rate;
    put(object, "weight", device.weight);
    put(object, "leafWeight", device.leaf_weight);
    list.push_back(std::move(object));
  }
  return list;
}

json block_io_json(const OciBlockIo& io) {
  json object = json::object();
  put(object, "weight", io.weight);
  put(object, "leafWeight", io.leaf_weight);
  put_object(object, "weightDevice", devices_json(io.weight_device, Holds::kWeights));
  put_object(object, "throttleReadBpsDevice", devices_json(io.throttle_read_bps, Holds::kRate));
  put_object(object, "throttleWriteBpsDevice", devices_json(io.throttle_write_bps, Holds::kRate));
  put_object(object, "throttleReadIOPSDevice", devices_json(io.throttle_read_iops, Holds::kRate));
  put_object(object, "throttleWriteIOPSDevice", devices_json(io.throttle_write_iops, Holds::kRate));
  return object;
}

json network_json(const OciResources& resources) {
  json object = json::object();
  put(object, "classID", resources.network_class_id);
  json priorities = json::array();
  for (const OciInterfacePriority& each : resources.network_priorities) {
    priorities.push_back({{"name", each.name}, {"priority", each.priority}});
  }
  put_object(object, "priorities", std::move(priorities));
  return object;
}

json rdma_json(const std::map<std::string, OciRdma>& rdma) {
  json object = json::object();
  for (const auto& [device, limit] : rdma) {
    json values = json::object();
    put(values, "hcaHandles", limit.hca_handles);
    put(values, "hcaObjects", limit.hca_objects);
    object[device] = std::move(values);
  }
  return object;
}

}  // namespace

nlohmann::json resources_json(const OciResources& resources) {
  json object = json::object();
  put_object(object, "memory", memory_json(resources.memory));
  put_object(object, "cpu", cpu_json(resources.cpu));
  if (resources.pids_limit) object["pids"] = {{"limit", *resources.pids_limit}};
  put_object(object, "blockIO", block_io_json(resources.block_io));
  json hugepages = json::array();
  for (const OciHugepageLimit& each : resources.hugepage_limits) {
    hugepages.push_back({{"pageSize", each.page_size}, {"limit", each.limit}});
  }
  put_object(object, "hugepageLimits", std::move(hugepages));
  put_object(object, "network", network_json(resources));
  put_object(object, "rdma", rdma_json(resources.rdma));
  if (!resources.unified.empty()) object["unified"] = resources.unified;
  return object;
}

}  // namespace sysbox::runc

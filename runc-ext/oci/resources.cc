#include "runc-ext/oci/resources.h"

#include <algorithm>
#include <limits>

#include "common/json_fields.h"
#include "common/log.h"

namespace sysbox::runc {
namespace {

// In Go, in which engines are written, 0 stands for "not given"; so it does here for limits of
// which 0 makes no sense (Docker always writes "shares": 0 and "weight": 0).
template <typename T>
void zero_is_unset(std::optional<T>& field) {
  if (field == T{0}) field.reset();
}

void refuse_below(JsonFields& in, std::string_view name, const std::optional<std::int64_t>& value,
                  std::int64_t least) {
  if (value && *value < least) {
    in.fail(in.path_of(name), join(*value, " is less than ", least));
  }
}

Result<OciDeviceRule> parse_device_rule(const nlohmann::json& rule, const std::string& path) {
  OciDeviceRule out;
  std::string type;
  JsonFields in(rule, path);
  in.optional("allow", out.allow);
  in.optional("type", type);
  in.optional("major", out.major);
  in.optional("minor", out.minor);
  in.optional("access", out.access);
  if (type.empty()) type = "a";
  if (type != "a" && type != "b" && type != "c") {
    in.fail(in.path_of("type"), join("'", type, "' is not one of a, b, c"));
  }
  refuse_below(in, "major", out.major, -1);
  refuse_below(in, "minor", out.minor, -1);
  if (out.access.find_first_not_of("rwm") != std::string::npos) {
    in.fail(in.path_of("access"), join("'", out.access, "' is not made of r, w and m"));
  }
  TRY(std::move(in).finish());
  out.type = type[0];
  if (out.access.empty()) out.access = "rwm";
  return out;
}

Result<OciMemory> parse_memory(const nlohmann::json& memory, const std::string& path) {
  OciMemory out;
  JsonFields in(memory, path);
  in.optional("limit", out.limit);
  in.optional("reservation", out.reservation);
  in.optional("swap", out.swap);
  in.optional("swappiness", out.swappiness);
  in.optional("disableOOMKiller", out.disable_oom_killer);
  in.optional("checkBeforeUpdate", out.check_before_update);
  refuse_below(in, "limit", out.limit, -1);
  refuse_below(in, "reservation", out.reservation, -1);
  refuse_below(in, "swap", out.swap, -1);
  // -1 of a signed field in older engines: not given.
  if (out.swappiness == std::numeric_limits<std::uint64_t>::max()) out.swappiness.reset();
  if (out.swappiness.value_or(0) > 200) {
    in.fail(in.path_of("swappiness"), join(*out.swappiness, " is not between 0 and 200"));
  }
  if (in.find("kernel") != nullptr || in.find("kernelTCP") != nullptr) {
    log::warning("Kernel memory settings are ignored and will be removed");
  }
  TRY(std::move(in).finish());
  zero_is_unset(out.limit);
  zero_is_unset(out.reservation);
  zero_is_unset(out.swap);
  return out;
}

Result<OciCpu> parse_cpu(const nlohmann::json& cpu, const std::string& path) {
  OciCpu out;
  JsonFields in(cpu, path);
  in.optional("shares", out.shares);
  in.optional("quota", out.quota);
  in.optional("burst", out.burst);
  in.optional("period", out.period);
  in.optional("realtimeRuntime", out.realtime_runtime);
  in.optional("realtimePeriod", out.realtime_period);
  in.optional("idle", out.idle);
  in.optional("cpus", out.cpus);
  in.optional("mems", out.mems);
  refuse_below(in, "quota", out.quota, -1);
  if (out.idle && *out.idle != 0 && *out.idle != 1) {
    in.fail(in.path_of("idle"), join(*out.idle, " is not 0 or 1"));
  }
  TRY(std::move(in).finish());
  zero_is_unset(out.shares);
  zero_is_unset(out.quota);
  zero_is_unset(out.period);
  zero_is_unset(out.realtime_runtime);
  zero_is_unset(out.realtime_period);
  return out;
}

Result<std::optional<std::int64_t>> parse_pids(const nlohmann::json& pids,
                                               const std::string& path) {
  std::optional<std::int64_t> limit;
  JsonFields in(pids, path);
  in.optional("limit", limit);
  TRY(std::move(in).finish());
  zero_is_unset(limit);
  return limit;
}

Result<OciBlockIoDevice> parse_block_device(const nlohmann::json& device, const std::string& path) {
  OciBlockIoDevice out;
  JsonFields in(device, path);
  in.required("major", out.major);
  in.required("minor", out.minor);
  in.optional("weight", out.weight);
  in.optional("leafWeight", out.leaf_weight);
  in.optional("rate", out.rate);
  refuse_below(in, "major", out.major, 0);
  refuse_below(in, "minor", out.minor, 0);
  TRY(std::move(in).finish());
  return out;
}

Result<OciBlockIo> parse_block_io(const nlohmann::json& block_io, const std::string& path) {
  OciBlockIo out;
  JsonFields in(block_io, path);
  in.optional("weight", out.weight);
  in.optional("leafWeight", out.leaf_weight);
  in.optional_array("weightDevice", out.weight_device, parse_block_device);
  in.optional_array("throttleReadBpsDevice", out.throttle_read_bps, parse_block_device);
  in.optional_array("throttleWriteBpsDevice", out.throttle_write_bps, parse_block_device);
  in.optional_array("throttleReadIOPSDevice", out.throttle_read_iops, parse_block_device);
  in.optional_array("throttleWriteIOPSDevice", out.throttle_write_iops, parse_block_device);
  TRY(std::move(in).finish());
  zero_is_unset(out.weight);
  zero_is_unset(out.leaf_weight);
  return out;
}

// "2MB": it becomes part of a file name, hugetlb.2MB.max.
bool is_page_size(const std::string& text) {
  const std::size_t digits = text.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string::npos) return false;
  const std::string unit = text.substr(digits);
  return unit == "KB" || unit == "MB" || unit == "GB";
}

Result<OciHugepageLimit> parse_hugepage_limit(const nlohmann::json& limit,
                                              const std::string& path) {
  OciHugepageLimit out;
  JsonFields in(limit, path);
  in.required("pageSize", out.page_size);
  in.required("limit", out.limit);
  if (!is_page_size(out.page_size)) {
    in.fail(in.path_of("pageSize"), join("'", out.page_size, "' is not a size such as 2MB"));
  }
  TRY(std::move(in).finish());
  return out;
}

Result<OciInterfacePriority> parse_interface_priority(const nlohmann::json& priority,
                                                      const std::string& path) {
  OciInterfacePriority out;
  JsonFields in(priority, path);
  in.required("name", out.name);
  in.required("priority", out.priority);
  TRY(std::move(in).finish());
  return out;
}

Result<OciRdma> parse_rdma_device(const nlohmann::json& device, const std::string& path) {
  OciRdma out;
  JsonFields in(device, path);
  in.optional("hcaHandles", out.hca_handles);
  in.optional("hcaObjects", out.hca_objects);
  TRY(std::move(in).finish());
  return out;
}

Result<std::map<std::string, OciRdma>> parse_rdma(const nlohmann::json& rdma,
                                                  const std::string& path) {
  std::map<std::string, OciRdma> out;
  TRY(JsonFields(rdma, path).finish());
  for (const auto& [name, device] : rdma.items()) {
    out[name] = TRY(parse_rdma_device(device, join(path, ".", name)));
  }
  return out;
}

struct Network {
  std::optional<std::uint32_t> class_id;
  std::vector<OciInterfacePriority> priorities;
};

Result<Network> parse_network(const nlohmann::json& network, const std::string& path) {
  Network out;
  JsonFields in(network, path);
  in.optional("classID", out.class_id);
  in.optional_array("priorities", out.priorities, parse_interface_priority);
  TRY(std::move(in).finish());
  return out;
}

}  // namespace

Result<OciResources> parse_resources(const nlohmann::json& resources, const std::string& path) {
  OciResources out;
  JsonFields in(resources, path);
  in.optional_array("devices", out.devices, parse_device_rule);
  in.optional_object("memory", out.memory, parse_memory);
  in.optional_object("cpu", out.cpu, parse_cpu);
  in.optional_object("pids", out.pids_limit, parse_pids);
  in.optional_object("blockIO", out.block_io, parse_block_io);
  in.optional_array("hugepageLimits", out.hugepage_limits, parse_hugepage_limit);
  Network network;
  in.optional_object("network", network, parse_network);
  in.optional_object("rdma", out.rdma, parse_rdma);
  in.optional("unified", out.unified);
  for (const auto& [file, value] : out.unified) {
    if (file.empty() || file.find('/') != std::string::npos) {
      in.fail(in.path_of("unified"), join("'", file, "' is not the name of a cgroup file"));
    }
  }
  TRY(std::move(in).finish());
  out.network_class_id = network.class_id;
  out.network_priorities = std::move(network.priorities);
  return out;
}

}  // namespace sysbox::runc

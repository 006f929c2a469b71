#pragma once

// config.json "linux.resources" (config-linux.md#control-groups). Absent members stay unset: the
// cgroup keeps its own value. Sizes in bytes, cpu times in microseconds.

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"

namespace sysbox::runc {

struct OciDeviceRule {
  bool allow = false;
  char type = 'a';                    // a, c, b
  std::optional<std::int64_t> major;  // absent or -1: any
  std::optional<std::int64_t> minor;
  std::string access;  // of "rwm"
};

struct OciMemory {
  std::optional<std::int64_t> limit;  // -1: unlimited
  std::optional<std::int64_t> reservation;
  std::optional<std::int64_t> swap;  // memory + swap
  std::optional<std::uint64_t> swappiness;
  std::optional<bool> disable_oom_killer;
  std::optional<bool> check_before_update;
};

struct OciCpu {
  std::optional<std::uint64_t> shares;
  std::optional<std::int64_t> quota;
  std::optional<std::uint64_t> burst;
  std::optional<std::uint64_t> period;
  std::optional<std::int64_t> realtime_runtime;
  std::optional<std::uint64_t> realtime_period;
  std::optional<std::int64_t> idle;
  std::string cpus;
  std::string mems;
};

struct OciBlockIoDevice {
  std::int64_t major = 0;
  std::int64_t minor = 0;
  std::optional<std::uint16_t> weight;
  std::optional<std::uint16_t> leaf_weight;
  std::uint64_t rate = 0;  // throttles: bytes or operations a second
};

struct OciBlockIo {
  std::optional<std::uint16_t> weight;
  std::optional<std::uint16_t> leaf_weight;
  std::vector<OciBlockIoDevice> weight_device;
  std::vector<OciBlockIoDevice> throttle_read_bps, throttle_write_bps;
  std::vector<OciBlockIoDevice> throttle_read_iops, throttle_write_iops;
};

struct OciHugepageLimit {
  std::string page_size;  // "2MB"
  std::uint64_t limit = 0;
};

struct OciInterfacePriority {
  std::string name;
  std::uint32_t priority = 0;
};

struct OciRdma {
  std::optional<std::uint32_t> hca_handles;
  std::optional<std::uint32_t> hca_objects;
};

struct OciResources {
  std::vector<OciDeviceRule> devices;
  OciMemory memory;
  OciCpu cpu;
  std::optional<std::int64_t> pids_limit;  // less than 0: unlimited
  OciBlockIo block_io;
  std::vector<OciHugepageLimit> hugepage_limits;
  std::optional<std::uint32_t> network_class_id;
  std::vector<OciInterfacePriority> network_priorities;
  std::map<std::string, OciRdma> rdma;
  std::map<std::string, std::string> unified;  // cgroup v2 file → value
};

Result<OciResources> parse_resources(const nlohmann::json& resources, const std::string& path);

}  // namespace sysbox::runc

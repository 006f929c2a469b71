#pragma once

// linux.resources.devices, reduced to what the kernel's device cgroup knows: one default and the
// exceptions from it.

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"
#include "runc-ext/oci/resources.h"

namespace sysbox::runc {

inline constexpr std::int64_t kAnyDevice = -1;

struct DeviceException {
  char type = 'c';  // c, b
  std::int64_t major = kAnyDevice;
  std::int64_t minor = kAnyDevice;
  std::string access;  // of "rwm", in this order

  bool operator==(const DeviceException&) const = default;
};

struct DeviceRules {
  bool allow_by_default = false;
  std::vector<DeviceException> exceptions;  // allowed, or denied if all else is allowed
};

// The rules in their order, then the devices that every container may use.
Result<DeviceRules> reduce_device_rules(const std::vector<OciDeviceRule>& rules);

// "c 1:3 rwm", as devices.allow takes it.
std::string device_rule_text(const DeviceException& exception);
Result<DeviceException> parse_device_rule(const OciDeviceRule& rule);

// True if a device may be used but not in every way, so that without a device cgroup the
// container could do more than it was given.
bool needs_enforcement(const std::vector<OciDeviceRule>& rules);

}  // namespace sysbox::runc

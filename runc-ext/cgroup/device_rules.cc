#include "runc-ext/cgroup/device_rules.h"

#include <algorithm>
#include <array>

namespace sysbox::runc {
namespace {

struct DefaultDevice {
  char type;
  std::int64_t major, minor;
  const char* access;
};

// What every container may use. Making any node is harmless: using it is what is checked.
constexpr std::array kDefaultDevices = {
    DefaultDevice{'c', kAnyDevice, kAnyDevice, "m"},
    DefaultDevice{'b', kAnyDevice, kAnyDevice, "m"},
    DefaultDevice{'c', 1, 3, "rwm"},             // null
    DefaultDevice{'c', 1, 5, "rwm"},             // zero
    DefaultDevice{'c', 1, 7, "rwm"},             // full
    DefaultDevice{'c', 1, 8, "rwm"},             // random
    DefaultDevice{'c', 1, 9, "rwm"},             // urandom
    DefaultDevice{'c', 5, 0, "rwm"},             // tty
    DefaultDevice{'c', 5, 2, "rwm"},             // ptmx
    DefaultDevice{'c', 136, kAnyDevice, "rwm"},  // pts/*
    DefaultDevice{'c', 10, 200, "rwm"},          // net/tun
    DefaultDevice{'c', 10, 229, "rwm"},          // fuse
};

std::string sorted_access(const std::string& access) {
  std::string sorted;
  for (const char each : {'r', 'w', 'm'}) {
    if (access.find(each) != std::string::npos) sorted += each;
  }
  return sorted;
}

bool same_devices(const DeviceException& a, const DeviceException& b) {
  return a.type == b.type && a.major == b.major && a.minor == b.minor;
}

bool overlap(const DeviceException& a, const DeviceException& b) {
  const auto meet = [](std::int64_t x, std::int64_t y) {
    return x == kAnyDevice || y == kAnyDevice || x == y;
  };
  return a.type == b.type && meet(a.major, b.major) && meet(a.minor, b.minor) &&
         a.access.find_first_of(b.access) != std::string::npos;
}

void add_exception(std::vector<DeviceException>& exceptions, const DeviceException& added) {
  for (DeviceException& each : exceptions) {
    if (!same_devices(each, added)) continue;
    each.access = sorted_access(each.access + added.access);
    return;
  }
  exceptions.push_back(added);
}

// The kernel only takes back what was given for exactly the same devices; a narrower rule would
// silently do nothing.
Result<void> take_back_exception(std::vector<DeviceException>& exceptions,
                                 const DeviceException& taken) {
  for (DeviceException& each : exceptions) {
    if (same_devices(each, taken)) {
      std::erase_if(each.access,
                    [&taken](char way) { return taken.access.find(way) != std::string::npos; });
    } else if (overlap(each, taken)) {
      return Error(EINVAL, join("linux.resources.devices: '", device_rule_text(taken),
                                "' takes back a part of '", device_rule_text(each),
                                "', which a device cgroup cannot express"));
    }
  }
  std::erase_if(exceptions, [](const DeviceException& each) { return each.access.empty(); });
  return {};
}

}  // namespace

std::string device_rule_text(const DeviceException& exception) {
  const auto number = [](std::int64_t value) {
    return value == kAnyDevice ? std::string("*") : std::to_string(value);
  };
  return join(exception.type, " ", number(exception.major), ":", number(exception.minor), " ",
              exception.access);
}

Result<DeviceException> parse_device_rule(const OciDeviceRule& rule) {
  const DeviceException parsed = {rule.type, rule.major.value_or(kAnyDevice),
                                  rule.minor.value_or(kAnyDevice),
                                  sorted_access(rule.access.empty() ? "rwm" : rule.access)};
  if ((rule.type != 'c' && rule.type != 'b') || parsed.access.empty() ||
      parsed.access.size() < rule.access.size() || parsed.major < kAnyDevice ||
      parsed.minor < kAnyDevice) {
    return Error(EINVAL, join("linux.resources.devices: '", rule.type, " ", parsed.major, ":",
                              parsed.minor, " ", rule.access, "' is no device rule"));
  }
  return parsed;
}

Result<DeviceRules> reduce_device_rules(const std::vector<OciDeviceRule>& rules) {
  DeviceRules reduced;
  for (const OciDeviceRule& rule : rules) {
    if (rule.type == 'a') {
      reduced = {rule.allow, {}};
      continue;
    }
    const DeviceException exception = TRY(parse_device_rule(rule));
    if (rule.allow == reduced.allow_by_default) {
      TRY(take_back_exception(reduced.exceptions, exception));
    } else {
      add_exception(reduced.exceptions, exception);
    }
  }
  if (reduced.allow_by_default) return reduced;
  for (const DefaultDevice& device : kDefaultDevices) {
    add_exception(reduced.exceptions, {device.type, device.major, device.minor, device.access});
  }
  return reduced;
}

bool needs_enforcement(const std::vector<OciDeviceRule>& rules) {
  return std::any_of(rules.begin(), rules.end(), [](const OciDeviceRule& rule) {
    if (!rule.allow || rule.access.empty() || rule.major.value_or(kAnyDevice) == kAnyDevice) {
      return false;
    }
    return rule.access.find('r') == std::string::npos || rule.access.find('w') == std::string::npos;
  });
}

}  // namespace sysbox::runc

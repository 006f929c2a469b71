#pragma once

// Properties of a systemd unit, as they go over D-Bus, and which of them stand for linux.resources
// (systemd.resource-control(5)).

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/result.h"
#include "runc-ext/oci/resources.h"

namespace sysbox::runc {

// One basic value; which of D-Bus's number types it is, the signature says.
using UnitScalar = std::variant<bool, std::int64_t, std::uint64_t, double, std::string>;

struct UnitProperty {
  std::string name;
  // One basic type ("t"), an array of one ("as"), or "a(ss)", whose structs follow flattened.
  std::string signature;
  std::vector<UnitScalar> values;

  bool operator==(const UnitProperty&) const = default;
};

UnitProperty unit_property(std::string name, bool value);
UnitProperty unit_property(std::string name, std::uint64_t value);
UnitProperty unit_property(std::string name, std::string value);

struct UnitFeatures {
  bool v2 = true;
  int systemd_version = 0;
  bool with_devices = true;  // not for an update: device rules stay as they are
};

// Systemd writes a unit's properties into the cgroup's files whenever it sees fit (a reload, for
// example), so it must know every limit that it has a name for. `quota` becomes what systemd will
// make of it: it rounds up to whole percents of a cpu.
Result<std::vector<UnitProperty>> resource_properties(OciResources& resources,
                                                      const UnitFeatures& features);

// "0-2,5" → the bits of a cpu mask, lowest byte first.
Result<std::vector<UnitScalar>> cpu_mask(const std::string& list);

}  // namespace sysbox::runc

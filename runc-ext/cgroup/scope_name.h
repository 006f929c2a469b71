#pragma once

// What linux.cgroupsPath says with systemd's cgroup driver, "slice:prefix:name", and where systemd
// puts such a unit.

#include <string>

#include "common/result.h"

namespace sysbox::runc {

struct ScopeName {
  std::string slice;  // "machine-pod.slice"
  std::string unit;   // "prefix-name.scope"
  std::string path;   // below each hierarchy: "/machine.slice/machine-pod.slice/prefix-name.scope"
};

// An empty path means "system.slice:sysbox:<id>", an empty slice system.slice.
Result<ScopeName> parse_scope_name(const std::string& cgroups_path, const std::string& id);

// "a-b.slice" → "/a.slice/a-b.slice"; "-.slice" → "".
Result<std::string> expand_slice(const std::string& slice);

}  // namespace sysbox::runc

#pragma once

// Device rules on cgroup v2, which has no files for them: an eBPF program of type
// BPF_PROG_TYPE_CGROUP_DEVICE that the kernel asks for each open and mknod of a device.

#include <linux/bpf.h>

#include <string>
#include <vector>

#include "common/result.h"
#include "runc-ext/cgroup/device_rules.h"

namespace sysbox::runc {

// Returns 1 (allow) or 0 (deny); the rules one after the other, no loop, no map.
std::vector<bpf_insn> build_device_program(const DeviceRules& rules);

// Attaches it to a cgroup directory in place of those that are attached there.
Result<void> attach_device_program(const std::string& directory, const DeviceRules& rules);

}  // namespace sysbox::runc

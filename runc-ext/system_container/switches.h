#pragma once

// What a user may choose for one container: by annotations io.sysbox.*, and by the variables
// SYSBOX_* of Nestybox Sysbox in the environment of the container's process.
//
// Both come from outside: an unknown name or value is refused, so that a misspelt switch is no
// silent surprise. An annotation wins over a variable, which may be the image's own; what opens a
// door to the host's kernel has no variable.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace sysbox::runc {

enum class Choice { kAuto, kYes, kNo };
enum class CgroupTree { kAuto, kHost, kV2 };

struct Switches {
  bool system_container = true;
  Choice honor_capabilities = Choice::kAuto;
  bool commit_volumes = true;
  bool relaxed_read_only = false;
  bool kernel_files = true;
  Choice hardware = Choice::kAuto;
  Choice systemd = Choice::kAuto;
  CgroupTree cgroup = CgroupTree::kAuto;
  int oom_score_floor = -999;
  std::uint32_t ids = 0;                // 0: as many as sysbox-mgr gives to everybody
  std::vector<std::string> unshifted;   // destinations of mounts, clean
  std::vector<std::string> open_doors;  // names of seccomp_doors.h
  // For the log: switches that are set and have nothing to switch here, and why.
  std::vector<std::string> without_effect;
};

inline constexpr std::string_view kSwitchPrefix = "io.sysbox.";

// EINVAL names the annotation or the variable, and what is possible instead.
Result<Switches> read_switches(const std::map<std::string, std::string>& annotations,
                               const std::vector<std::string>& env);

// The environment of a process that joins a container: engines hand it the container's own, but
// the switches were set when the container was made.
void forget_switches(std::vector<std::string>& env);

// The table of all switches for people: docs/switches.md.
std::string switches_page();

}  // namespace sysbox::runc

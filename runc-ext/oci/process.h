#pragma once

// config.json "process": what to run (OCI runtime specification 1.2, config.md#process).

#include <sys/resource.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "runc-ext/oci/scheduling.h"

namespace sysbox::runc {

// Bit sets by capability number (linux/capability.h).
struct OciCapabilities {
  std::uint64_t bounding = 0;
  std::uint64_t effective = 0;
  std::uint64_t permitted = 0;
  std::uint64_t inheritable = 0;
  std::uint64_t ambient = 0;
  bool operator==(const OciCapabilities&) const = default;
};

struct OciRlimit {
  std::string name;  // "RLIMIT_NOFILE"
  int resource = 0;  // RLIMIT_* of sys/resource.h
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;
};

struct OciUser {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::optional<std::uint32_t> umask;
  std::vector<std::uint32_t> additional_gids;
};

struct OciConsoleSize {
  std::uint16_t height = 0;  // rows
  std::uint16_t width = 0;   // columns
};

struct OciProcess {
  bool terminal = false;
  std::optional<OciConsoleSize> console_size;
  OciUser user;
  std::vector<std::string> args;
  std::vector<std::string> env;  // NAME=VALUE
  std::string cwd;               // absolute, inside the container
  std::optional<OciCapabilities> capabilities;
  std::vector<OciRlimit> rlimits;
  bool no_new_privileges = false;
  std::optional<int> oom_score_adj;
  std::string apparmor_profile;
  std::string selinux_label;
  std::optional<OciScheduler> scheduler;
  std::optional<OciIoPriority> io_priority;
  OciCpuAffinity exec_cpu_affinity;
};

// `path` names the object in errors: "process" in config.json, "" for `exec --process FILE`.
Result<OciProcess> parse_process(const nlohmann::json& process, const std::string& path);
// The inverse: what parse_process() reads the same process from.
nlohmann::json process_json(const OciProcess& process);

// The capability's number; nothing if the name ("CAP_CHOWN") is unknown to this build.
std::optional<int> capability_number(const std::string& name);
// "CAP_CHOWN"; "" of a number that this build has no name for.
std::string capability_name(int number);
// The number of capabilities that the running kernel knows (/proc/sys/kernel/cap_last_cap + 1).
int kernel_capability_count();

}  // namespace sysbox::runc

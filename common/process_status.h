#pragma once

// What /proc/PID/status, stat and cgroup tell about a process (proc_pid_status(5),
// proc_pid_stat(5), cgroups(7)), read by descriptor of a /proc/PID directory so that a reused pid
// cannot mislead.

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace sysbox {

struct ProcessStatus {
  pid_t thread_group = 0;  // Tgid
  std::uint32_t uid = 0, effective_uid = 0, filesystem_uid = 0;
  std::uint32_t gid = 0, effective_gid = 0, filesystem_gid = 0;
  std::vector<std::uint32_t> groups;
  std::uint64_t effective_capabilities = 0;
  // The thread's id, and its process's, in each pid namespace, from the reader's own down to the
  // innermost.
  std::vector<pid_t> pids_in_namespaces;           // NSpid
  std::vector<pid_t> thread_groups_in_namespaces;  // NStgid
};

Result<ProcessStatus> parse_process_status(std::string_view text);

struct ProcessStat {
  char state = 'X';
  // Field 22, in clock ticks since boot: with the pid it names a process for good.
  std::uint64_t start_time = 0;
};

// /proc/PID/stat.
Result<ProcessStat> parse_process_stat(std::string_view text);

// /proc/PID/cgroup: hierarchy's controllers ("memory", "cpu,cpuacct", "name=systemd", "" for
// cgroup v2) → path inside that hierarchy.
using CgroupMembership = std::map<std::string, std::string, std::less<>>;
Result<CgroupMembership> parse_cgroup_membership(std::string_view text);

}  // namespace sysbox

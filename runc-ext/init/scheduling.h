#pragma once

// When, where and with which share of the disks a process runs. By the host's root, from outside:
// the rights of a user namespace's root do not count for it.

#include <sys/types.h>

#include <string>

#include "common/result.h"
#include "runc-ext/oci/process.h"

namespace sysbox::runc {

// process.scheduler and process.ioPriority, whatever of it there is.
Result<void> apply_scheduling(pid_t pid, const OciProcess& process);
// Late: a task of SCHED_DEADLINE may not fork any more.
Result<void> apply_scheduler(pid_t pid, const OciScheduler& scheduler);
Result<void> apply_io_priority(pid_t pid, const OciIoPriority& priority);

// All CPUs that the process's cgroups allow: those that our caller was restricted to are of no
// concern to a container.
Result<void> forget_cpu_affinity(pid_t pid);
// `list` as in config.json; `pid` 0 is the caller.
Result<void> apply_cpu_affinity(pid_t pid, const std::string& list);
// "0x5", for the log.
std::string cpu_mask_text(const std::string& list);

}  // namespace sysbox::runc

#pragma once

// The numbers of sysinfo(2), the same that /proc/meminfo, /proc/loadavg and /proc/uptime show.

#include "fs-emulator/container_view.h"
#include "fs-emulator/file_tree.h"
#include "seccomp-notify/container_actions.h"

namespace sysbox::fs {

Result<seccomp::SystemInformation> system_information(const ContainerView& container);
// As the task with that number on the host sees it.
Result<seccomp::SystemInformation> read_system_information(ContainerState& container,
                                                           int pid_on_host);

}  // namespace sysbox::fs

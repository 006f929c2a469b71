#pragma once

// The numbers of sysinfo(2), the same that /proc/meminfo, /proc/loadavg and /proc/uptime show.

#include "fs-emulator/container_view.h"
#include "seccomp-notify/container_actions.h"

namespace sysbox::fs {

Result<seccomp::SystemInformation> system_information(const ContainerView& container);

}  // namespace sysbox::fs

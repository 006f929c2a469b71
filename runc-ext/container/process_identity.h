#pragma once

// A process that may have ended and whose number may belong to another by now.

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox::runc {

// Field 22 of /proc/PID/stat (proc_pid_stat(5)): clock ticks since boot; with the pid it is unique.
Result<std::uint64_t> process_start_time(pid_t pid);

// A pidfd of the process if it still is the one that started then and is no zombie.
std::optional<UniqueFd> open_if_alive(pid_t pid, std::uint64_t start_time);

}  // namespace sysbox::runc

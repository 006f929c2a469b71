#pragma once

// How willingly the kernel kills a process when memory runs out (proc_pid_oom_score_adj(5)).

#include <sys/types.h>

#include <optional>

#include "common/result.h"

namespace sysbox::runc {

// Sets /proc/PID/oom_score_adj from outside the container; no value: as it is. Root inside may
// later lower its own and its children's down to `floor`, as systemd, dockerd and kubelet do for
// theirs; the kernel would otherwise hold it at the value set here. Without CAP_SYS_RESOURCE
// neither a lower value nor a floor can be set: the former gives a warning.
Result<void> apply_oom_score(pid_t pid, std::optional<int> wanted, int floor);

}  // namespace sysbox::runc

#pragma once

#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox {

// A file system context (fsopen(2)) of the procfs of another pid namespace, opened by a
// short-lived task in there: before procfs's option pidns (Linux 6.17) the task that opens the
// context decides. ENOTRECOVERABLE: the calling thread could not get back and is of no more use.
Result<UniqueFd> fsopen_procfs_inside(int pid_namespace_fd);

}  // namespace sysbox

#pragma once

// Trees of cgroup directories: walking, listing processes, killing, freezing, removing. A tree may
// change under our feet, since the container makes and removes cgroups at will.

#include <sys/types.h>

#include <string>
#include <vector>

#include "common/result.h"
#include "common/syscalls.h"

namespace sysbox::runc {

// `directory` and all below it, parents before children. Empty if it does not exist.
Result<std::vector<std::string>> cgroup_tree(const std::string& directory);

// The processes of a tree, sorted, each once.
Result<std::vector<pid_t>> processes_below(const std::string& directory);

// Removes a tree, children first; EBUSY names the directory and a process in it.
Result<void> remove_cgroup_tree(const std::string& directory, Deadline deadline);

// cgroup v2's cgroup.kill, then waits until no process is left. `v1_freezer`, if not empty, is
// thawed when processes do not die: a frozen v1 process does not.
Result<void> kill_tree_v2(const std::string& directory, const std::string& v1_freezer,
                          Deadline deadline);
// A signal to each process. SIGKILL: again until none is left.
Result<void> signal_tree(const std::string& directory, int signal, const std::string& v1_freezer,
                         Deadline deadline);

Result<void> freeze_v1(const std::string& directory, bool frozen, Deadline deadline);
Result<void> freeze_v2(const std::string& directory, bool frozen, Deadline deadline);

}  // namespace sysbox::runc

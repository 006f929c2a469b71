#pragma once

// Procfs and sysfs mounts for the namespaces of a container, detached and without pieces.

#include <functional>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"
#include "seccomp-notify/container_actions.h"

namespace sysbox::fs {

// Contexts, not set up yet.
Result<UniqueFd> fsopen_procfs_of(int pid_namespace_fd);
Result<UniqueFd> fsopen_sysfs_of(int net_namespace_fd);

// Runs `step` with the calling thread in a network namespace.
Result<UniqueFd> in_network_namespace(int net_namespace_fd,
                                      const std::function<Result<UniqueFd>()>& step);

// A mount, and the context that can reconfigure its file system.
struct OpenedProcfs {
  UniqueFd context;
  UniqueFd mount;
};

// Of a pid namespace. EINVAL for an option that a container may not give.
Result<OpenedProcfs> open_procfs(int pid_namespace_fd, const seccomp::NewMount& mount);

// Of the network namespace.
Result<UniqueFd> plain_sysfs(int net_namespace_fd, const seccomp::NewMount& mount);

// Whether the options of a procfs leave it nothing but the processes.
bool has_processes_only(const std::string& options);
std::string without_processes_only(const std::string& options);

// A mounted procfs's options out of a line of mountinfo, which also has "rw" and the like.
std::string procfs_options_of(const std::string& superblock_options);

// Leaves a mounted procfs nothing but the processes and what is mounted on it. EINVAL: not to be
// changed any more (Linux 7.2).
Result<void> reduce_to_processes(int context_fd);

}  // namespace sysbox::fs

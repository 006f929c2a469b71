#pragma once

// What the handlers of trapped calls may ask of the program that serves the container; sysbox-fs
// implements it. Calls come from several threads at once.

#include <memory>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox::seccomp {

// The namespaces a mount is made for: descriptors of /proc/PID/ns/* of the calling task.
struct TargetNamespaces {
  int user_fd = -1;  // of the caller's mount namespace's owner, for locking
  int pid_fd = -1;
  int net_fd = -1;
};

class ContainerActions {
 public:
  virtual ~ContainerActions() = default;

  virtual const std::string& container_id() const = 0;

  // A detached procfs of the pid namespace with the container's emulated pieces over it, the
  // pieces locked for `target.user_fd`: whoever owns that user namespace cannot take them off.
  // `options`: what the caller passed as data (hidepid=…, subset=pid); EINVAL as the kernel.
  virtual Result<UniqueFd> procfs_with_pieces(const TargetNamespaces& target,
                                              const std::string& options) = 0;
  // The same for a sysfs of the network namespace.
  virtual Result<UniqueFd> sysfs_with_pieces(const TargetNamespaces& target) = 0;
};

}  // namespace sysbox::seccomp

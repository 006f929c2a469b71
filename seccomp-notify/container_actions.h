#pragma once

// What the handlers of trapped calls may ask of the program that serves the container; sysbox-fs
// implements it. Calls come from several threads at once; each such thread has left the file
// system attributes that threads share (unshare(CLONE_FS)) and is in the host's namespaces. An
// action that could not take its thread back there returns ENOTRECOVERABLE.

#include <sys/types.h>

#include <memory>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox::seccomp {

// The namespaces a mount is made for: descriptors of /proc/PID/ns/* of the calling task.
struct TargetNamespaces {
  int pid_fd = -1;
  int net_fd = -1;
};

// How the new mount is to be.
struct NewMount {
  std::string options;  // the data of mount(2): "hidepid=2,subset=pid", with host ids
  // MOUNT_ATTR_NOATIME and the like: the policy of a mount that holds locked ones can't be
  // changed later.
  unsigned access_time = 0;
};

class ContainerActions {
 public:
  virtual ~ContainerActions() = default;

  virtual const std::string& container_id() const = 0;

  // A detached procfs of the pid namespace with the container's emulated pieces over it, the
  // pieces locked: whoever gets the tree can unmount it as a whole but not take them off.
  // EINVAL for an option that procfs does not know.
  virtual Result<UniqueFd> procfs_with_pieces(const TargetNamespaces& target,
                                              const NewMount& mount) = 0;
  // The same for a sysfs of the network namespace.
  virtual Result<UniqueFd> sysfs_with_pieces(const TargetNamespaces& target,
                                             const NewMount& mount) = 0;

  // Whether mounts of this device are the container's emulated pieces.
  virtual bool is_piece_device(dev_t device) const = 0;
};

}  // namespace sysbox::seccomp

#pragma once

// What the handlers of trapped calls may ask of the program that serves the container; sysbox-fs
// implements it. Calls come from several threads at once; each such thread has left the file
// system attributes that threads share (unshare(CLONE_FS)) and is in the host's namespaces. An
// action that could not take its thread back there returns ENOTRECOVERABLE.

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"
#include "seccomp-notify/mount_id_maps.h"

namespace sysbox::seccomp {

// The namespaces a mount is made for: descriptors of /proc/PID/ns/* of the calling task.
struct TargetNamespaces {
  int pid_fd = -1;
  int net_fd = -1;
};

// What lies on a mount, directly or not. Mounts are numbered in the order in which they are made,
// and no number comes again. So where none can be taken off, these two tell whether anything was
// added.
struct MountCensus {
  std::uint64_t mount = 0;  // its unique number; 0: the kernel tells none (before Linux 6.8)
  std::size_t on_it = 0;
  std::uint64_t newest = 0;
  bool operator==(const MountCensus&) const = default;
};

// How the new mount is to be.
struct NewMount {
  std::string options;  // the data of mount(2): "hidepid=2,subset=pid", with host ids
  // MOUNT_ATTR_NOATIME and the like: the policy of a mount that holds locked ones can't be
  // changed later.
  unsigned access_time = 0;
};

// What the kernel tells of a detached mount only once it is attached somewhere.
struct TreeLook {
  std::optional<MountIdMaps> maps;  // of the uppermost mount, if it is id-mapped
  bool has_mounts_on_it = false;
};

// What a program has made for itself: mostly one tree, which it attaches at once, or many mounts
// before it attaches the first, as crun does of volumes with new ids.
enum class Keep { kTree, kOneOfMany };

// What sysinfo(2) tells.
struct SystemInformation {
  std::uint64_t uptime_seconds = 0;
  std::array<std::uint64_t, 3> loads{};  // of 1, 5 and 15 minutes, 1.0 being 65536
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0;
  std::uint64_t shared_bytes = 0;
  std::uint64_t buffer_bytes = 0;
  std::uint64_t swap_total_bytes = 0;
  std::uint64_t swap_free_bytes = 0;
  std::uint64_t processes = 0;
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

  // Contexts (fsopen(2)) of a procfs of the pid namespace and a sysfs of the network namespace, for
  // the container to set up.
  virtual Result<UniqueFd> procfs_context(const TargetNamespaces& target) = 0;
  virtual Result<UniqueFd> sysfs_context(const TargetNamespaces& target) = 0;
  // A procfs or sysfs that was mounted from such a context, detached, with the pieces.
  virtual Result<UniqueFd> with_pieces(UniqueFd mount, const TargetNamespaces& target) = 0;
  // What is left of a detached tree without the mounts in it that are not locked.
  virtual Result<UniqueFd> keep_locked_mounts(UniqueFd tree) = 0;
  // Looks at a detached tree, which is used up. Linux 6.15.
  virtual Result<TreeLook> look_at(UniqueFd /*tree*/) { return errno_error(ENOSYS, "a look"); }
  // Keeps a detached mount from ending with its descriptor, for as long as it takes a program to
  // attach it by another one.
  virtual void keep_for_a_while(UniqueFd mount, Keep what) = 0;
  // Whether a place lies on one of those.
  virtual bool is_kept(int place_fd) = 0;

  // A tree that was made by the above has been attached.
  virtual void has_attached(const MountCensus& /*tree*/) {}
  // Whether it carries what it carried then and nothing else; false also if that is not known.
  virtual bool is_as_attached(const MountCensus& /*tree*/) { return false; }
  // Closes the last descriptor of an unmounted tree, which makes it end, some time soon.
  virtual void end_later(UniqueFd /*mount*/) {}

  // Whether mounts of this device are the container's emulated pieces.
  virtual bool is_piece_device(dev_t device) const = 0;

  // The network namespace of the container's first process.
  virtual Result<UniqueFd> network_namespace() = 0;
  // The number of its mount namespace.
  virtual Result<ino_t> mount_namespace() { return errno_error(ENOSYS, "mount namespace"); }

  // The container as one of its tasks sees it, by that task's cgroups.
  virtual Result<SystemInformation> system_information(pid_t tid_on_host) = 0;
  // How many cpus /proc/cpuinfo shows it.
  virtual Result<std::size_t> cpu_count(pid_t tid_on_host) = 0;
};

}  // namespace sysbox::seccomp

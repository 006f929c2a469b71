#pragma once

// Locks the sub-mounts of a mount tree, as the kernel does when mounts are copied into a user
// namespace: whoever gets the tree can unmount it as a whole but not take its pieces off.

#include <memory>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox::fs {

// The kernel also locks a tree that reaches a mount namespace of another user namespace by
// propagation (attach_recursive_mnt() in its fs/namespace.c). So two nearly empty namespaces do
// for all trees, and no task has to enter the container's: the *workshop*, owned by the host's
// user namespace and shared, and its *mirror*, owned by a user namespace made for this only.
// A tree attached in the workshop appears in the mirror, locked, and is cloned from there.
//
// All functions want a thread that has left the shared file system attributes
// (unshare(CLONE_FS)) in the host's mount namespace, where it is again after them. ESRCH-like
// surprises apart, failing to return there aborts: the thread would act in the wrong place.
class MountLocksmith {
 public:
  // Takes about half a millisecond, one short-lived task.
  static Result<std::unique_ptr<MountLocksmith>> start();

  // The process's only one, started at first use.
  static Result<MountLocksmith*> instance();

  // A detached clone of the detached `tree`, its sub-mounts locked. `tree` is used up: the mount
  // that it was is gone.
  Result<UniqueFd> lock(UniqueFd tree) const;

  // A detached copy of what lock() returned (Linux 6.15; EINVAL before).
  Result<UniqueFd> clone(int locked_tree) const;

  // For kernels before 6.15, where nothing can be attached to a detached tree: `assemble` runs
  // inside the workshop, with `tree` attached at a private place there.
  template <typename Assemble>
  Result<void> attached_privately(int tree, Assemble assemble) const {
    const Stay stay(*this);
    TRY(stay.attach_privately(tree));
    return assemble();
  }

 private:
  // The time in the workshop, up to the end of the scope.
  class Stay {
   public:
    explicit Stay(const MountLocksmith& locksmith) : locksmith_(locksmith) {}
    ~Stay();
    Stay(const Stay&) = delete;
    Stay& operator=(const Stay&) = delete;
    Result<void> attach_privately(int tree) const;

   private:
    const MountLocksmith& locksmith_;
  };

  MountLocksmith() = default;
  Result<void> furnish_workshop(int proc_fd);
  Result<std::string> own_bench() const;

  UniqueFd host_;  // mount namespaces
  UniqueFd workshop_;
  UniqueFd mirror_;
};

}  // namespace sysbox::fs

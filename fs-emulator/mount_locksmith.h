#pragma once

// Locks the sub-mounts of a mount tree, as the kernel does when mounts are copied into a user
// namespace: whoever gets the tree can unmount it as a whole but not take its pieces off.

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

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
// (unshare(CLONE_FS)) in the host's mount namespace, where it is again after them. Should it not
// get back (no memory), they return ENOTRECOVERABLE and the thread has to end.
// Names of the namespaces among what is parked of the daemon itself.
inline constexpr const char* kWorkshopName = "workshop";
inline constexpr const char* kMirrorName = "mirror";

class MountLocksmith {
 public:
  // Takes about half a millisecond, one short-lived task.
  static Result<std::unique_ptr<MountLocksmith>> start();

  // The process's only one, started at first use.
  static Result<MountLocksmith*> instance();

  // The namespaces of the one that an earlier process had become those of instance(), which is not
  // in use yet: trees that were adopted there stay there. Any thread may call it.
  static Result<void> inherit(UniqueFd workshop, UniqueFd mirror);
  int workshop() const { return workshop_.get(); }
  int mirror() const { return mirror_.get(); }

  // A detached clone of the detached `tree`, its sub-mounts locked. `tree` is used up: the mount
  // that it was is gone.
  Result<UniqueFd> lock(UniqueFd tree) const;

  // A detached copy of what lock() returned (Linux 6.15; EINVAL before).
  Result<UniqueFd> clone(int locked_tree) const;

  // The file system's options of a detached mount, which is used up.
  Result<std::string> options_of(UniqueFd tree) const;

  // A detached copy of the detached `tree`, which is used up, without the mounts in it that are not
  // locked; those of the device `pieces` are. It follows what is mounted on the original, but not
  // the other way round.
  Result<UniqueFd> without_unlocked(UniqueFd tree, dev_t pieces) const;

  // Two detached mounts of what the detached `tree` is, so that one can be given away.
  Result<std::pair<UniqueFd, UniqueFd>> two_of(UniqueFd tree) const;

  // For kernels before 6.15, which attach nothing to a detached tree and clone none:
  // Gives `tree` a place in the workshop, so that parts of it can be cloned there.
  Result<void> adopt(int tree) const;
  // Takes it off again.
  Result<void> disown(int tree) const;
  // Runs `assemble` in the workshop, `tree` being attached there. lock() takes it from there.
  Result<void> assemble_inside(int tree, const std::function<Result<void>()>& assemble) const;

 private:
  MountLocksmith() = default;
  Result<void> furnish_workshop();
  Result<std::string> own_bench() const;
  Result<void> clear_benches() const;
  static MountLocksmith*& only_one();
  static std::mutex& only_one_mutex();
  Result<void> drop_unlocked(const std::string& place, dev_t pieces) const;
  // Runs `steps`, which enter the namespaces below, and takes the thread home.
  template <typename Steps>
  auto away_from_home(Steps steps) const -> decltype(steps());

  UniqueFd proc_;  // the host's
  UniqueFd host_;  // mount namespaces
  UniqueFd workshop_;
  UniqueFd mirror_;
};

}  // namespace sysbox::fs

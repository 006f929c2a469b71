#pragma once

// Locks the sub-mounts of a mount tree, as the kernel does when mounts are copied into a user
// namespace: whoever gets the tree can unmount it as a whole but not take its pieces off.

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/mount_pieces.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "seccomp-notify/container_actions.h"

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

// Clones of the pieces, each at a place of its own, in one tree: that is cloned in one call, and
// its mounts are moved to where they belong, which takes half the time of cloning each by itself.
struct PieceKit {
  struct Part {
    std::string place;
    std::string target;  // as in MountPiece
  };
  UniqueFd tree;  // detached
  std::vector<Part> parts;
};

class MountLocksmith {
 public:
  ~MountLocksmith();
  MountLocksmith(const MountLocksmith&) = delete;
  MountLocksmith& operator=(const MountLocksmith&) = delete;

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
  // that it was is gone. Before, `assemble` is run in the workshop, `tree` being attached there.
  using Assemble = std::function<Result<void>()>;
  Result<UniqueFd> lock(UniqueFd tree, const Assemble& assemble = nullptr) const;

  // A detached copy of what lock() returned (Linux 6.15; EINVAL before).
  Result<UniqueFd> clone(int locked_tree) const;

  // The same with the parts of a kit over their targets, as attach_pieces() does it. The kit is one
  // that make_kit() has returned, or clone_kit(), and is used up.
  Result<UniqueFd> lock_with(UniqueFd kit, const std::vector<PieceKit::Part>& parts,
                             UniqueFd tree) const;
  Result<PieceKit> make_kit(const std::vector<MountPiece>& pieces) const;  // Linux 6.15
  Result<UniqueFd> clone_kit(int kit) const;

  // The file system's options of a detached mount, which is used up.
  Result<std::string> options_of(UniqueFd tree) const;

  // What is known of a mount by its place only, of a detached one, which is used up.
  Result<seccomp::TreeLook> look_at(UniqueFd tree) const;

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

 private:
  MountLocksmith() = default;
  Result<void> furnish_workshop();
  Result<void> clear_benches() const;
  class Bench;
  Result<UniqueFd> lock_on(const Bench& bench, int tree) const;
  Result<void> clear(const Bench& bench) const;
  Result<void> clear_later(const std::shared_ptr<Bench>& bench) const;
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
  mutable std::mutex mutex_;  // of what follows
  mutable std::vector<int> free_benches_;
  mutable int benches_ = 0;
};

}  // namespace sysbox::fs

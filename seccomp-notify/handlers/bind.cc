// mount(2) with MS_BIND: over locked pieces the kernel refuses a bind that leaves them out, and
// new flags of a procfs do not reach them.

#include <limits.h>
#include <linux/mount.h>
#include <sys/mount.h>

#include <algorithm>

#include "common/root_dir.h"
#include "common/syscalls.h"
#include "seccomp-notify/handlers/effects.h"
#include "seccomp-notify/handlers/handlers.h"

namespace sysbox::seccomp {
namespace {

constexpr unsigned kCloneTree = OPEN_TREE_CLONE | AT_RECURSIVE;

// The clone took all mounts below the source along, where the caller asked for none. Those that
// are not locked go again; the kernel refuses to take off the others, which is what we want.
Result<void> drop_unlocked_mounts(const Visit& visit, int tree_fd) {
  const int mount_id = TRY(describe_place(tree_fd)).mount_id;
  const std::vector<MountInfo> mounts = TRY(visit.read_mounts());
  const auto self = std::find_if(mounts.begin(), mounts.end(), [&](const MountInfo& mount) {
    return mount.mount_id == mount_id;
  });
  if (self == mounts.end()) return {};
  for (const MountInfo* child : mounts_on(mounts, mount_id)) {
    if (!is_same_or_below(child->target, self->target)) continue;
    const std::size_t base = self->target == "/" ? 1 : self->target.size() + 1;
    if (child->target.size() < base) continue;
    const Result<UniqueFd> child_fd =
        sys::openat2(tree_fd, child->target.substr(base), O_PATH | O_NOFOLLOW,
                     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (!child_fd.ok()) continue;
    const Result<void> gone = visit.unmount(child_fd.value().get(), MNT_DETACH);
    if (!gone.ok() && gone.error().code() != EINVAL) return gone;
  }
  return {};
}

}  // namespace

Result<Verdict> handle_bind(const Assistance& with) {
  const Tracee& tracee = with.tracee;
  if (tracee.argument(0) == 0) return Verdict(LetKernelRunIt{});
  const std::string source_path = TRY(tracee.read_string(tracee.argument(0), PATH_MAX));
  const std::string target_path = TRY(tracee.read_string(tracee.argument(1), PATH_MAX));
  Caller caller = TRY(tracee.open_caller());

  const Visit visit = TRY(Visit::begin(with.visitor, caller));
  if (const Result<UniqueFd> place = visit.glance_at(source_path, Follow::kLastSymlink);
      place.ok() && !TRY(describe_place(place.value().get())).is_directory) {
    return Verdict(LetKernelRunIt{});
  }
  TRY(caller.learn_credentials());
  if (!TRY(may_mount(caller))) return Verdict(LetKernelRunIt{});
  const UniqueFd source = TRY(visit.resolve(source_path, Follow::kLastSymlink));
  // Only a directory can have something mounted below it.
  if (!TRY(describe_place(source.get())).is_directory) return Verdict(LetKernelRunIt{});
  const Result<UniqueFd> plain = sys::open_tree(source.get(), "", OPEN_TREE_CLONE);
  if (plain.ok() || plain.error().code() != EINVAL) return Verdict(LetKernelRunIt{});

  const UniqueFd target = TRY(visit.resolve(target_path, Follow::kLastSymlink));
  if (!TRY(describe_place(target.get())).is_directory) return Verdict(FailWith{ENOTDIR});
  const UniqueFd tree = TRY(sys::open_tree(source.get(), "", kCloneTree));
  if (!tracee.still_waiting()) return errno_error(ESRCH, "the caller is gone");
  const Result<void> attached = attach_once(tracee, tree.get(), target.get());
  if (!attached.ok()) return Verdict(FailWith{attached.error().code()});
  if (TRY(visit.emulated_kind_of(source.get())) == EmulatedKind::kNone) {
    TRY(drop_unlocked_mounts(visit, tree.get()));
  }
  return Verdict(SucceedWith{0});
}

// Inner runc makes /proc/sys read-only by a recursive bind of it onto itself and a remount of
// that one mount. The pieces below have to become read-only with it, and writable again.
Result<Verdict> handle_bind_remount(const Assistance& with, std::uint64_t flags) {
  const Tracee& tracee = with.tracee;
  const std::string target_path = TRY(tracee.read_string(tracee.argument(1), PATH_MAX));
  Caller caller = TRY(tracee.open_caller());

  const Visit visit = TRY(Visit::begin(with.visitor, caller));
  if (!TRY(may_concern_us(visit, target_path, Follow::kLastSymlink))) {
    return Verdict(LetKernelRunIt{});
  }
  TRY(caller.learn_credentials());
  if (!TRY(may_mount(caller))) return Verdict(LetKernelRunIt{});
  const UniqueFd target = TRY(visit.resolve(target_path, Follow::kLastSymlink));
  if (!TRY(is_emulated_root(visit, target.get()))) return Verdict(LetKernelRunIt{});
  // A mount of the container's own below it is left alone, and so are the pieces then.
  if (!TRY(carries_only_pieces(visit, target.get(), with.actions))) {
    return Verdict(LetKernelRunIt{});
  }
  if (!tracee.still_waiting()) return errno_error(ESRCH, "the caller is gone");
  sys::MountAttributes attributes;
  ((flags & MS_RDONLY) != 0 ? attributes.set : attributes.clear) = MOUNT_ATTR_RDONLY;
  // Refused for all if one is locked; then the kernel refuses the caller's own mount, too.
  TRY(sys::mount_setattr(target.get(), "", AT_RECURSIVE, attributes));
  return Verdict(LetKernelRunIt{});  // it sets the other flags, on the one mount
}

}  // namespace sysbox::seccomp

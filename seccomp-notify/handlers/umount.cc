// umount2(2): over a procfs or sysfs with emulated pieces, and over a bind of a directory above
// locked mounts, a plain umount would say EBUSY, as what is locked cannot go first; it takes them
// along instead.

#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>

#include "common/syscalls.h"
#include "seccomp-notify/handlers/effects.h"
#include "seccomp-notify/handlers/handlers.h"

namespace sysbox::seccomp {
namespace {

// A quick look, before we learn who the caller is, that spares most calls the rest.
Result<bool> may_need_help(const Assistance& with, const Visit& visit, const std::string& path,
                           Follow follow) {
  const Result<UniqueFd> glance = visit.glance_at(path, follow);
  if (!glance.ok()) return true;  // not for certain
  const Place place = TRY(describe_place(glance.value().get()));
  if (!place.may_be_directory || !place.is_mount_root) return false;
  if (with.actions.is_kept(glance.value().get())) return true;
  return visit.has_mounts_on(glance.value().get());
}

Result<bool> carries_only_locked(const Visit& visit, int mount_fd,
                                 const ContainerActions& actions) {
  if (TRY(carries_only_pieces(visit, mount_fd, actions))) return true;
  const std::vector<MountInfo> mounts = TRY(visit.read_mounts());
  const std::vector<BelowMount> below = TRY(mounts_below(mounts, mount_fd, Depth::kAll));
  for (const BelowMount& child : below) {
    if (is_piece(actions, *child.mount)) continue;
    const UniqueFd child_fd = TRY(visit.resolve_beneath(mount_fd, child.path));
    if (!TRY(visit.is_locked(child_fd.get()))) return false;
  }
  return !below.empty();
}

Result<bool> is_root_of(const Visit& visit, int mount_fd) {
  const int root_mount = TRY(describe_place(visit.root())).mount_id;
  return TRY(describe_place(mount_fd)).mount_id == root_mount;
}

}  // namespace

Result<Verdict> handle_umount(const Assistance& with, std::uint64_t flags) {
  const Tracee& tracee = with.tracee;
  const std::string target_path = TRY(tracee.read_string(tracee.argument(0), PATH_MAX));
  Caller caller = TRY(tracee.open_caller());
  const Follow follow =
      (flags & UMOUNT_NOFOLLOW) != 0 ? Follow::kNoLastSymlink : Follow::kLastSymlink;

  if (tracee.evidence() != 0) TRY(caller.learn_credentials());
  const Visit visit = TRY(Visit::begin(with.visitor, caller));
  if (TRY(was_unmounted(tracee, visit, target_path, follow))) return Verdict(SucceedWith{0});
  if (!TRY(may_need_help(with, visit, target_path, follow))) return Verdict(LetKernelRunIt{});
  TRY(caller.learn_credentials());
  if (!TRY(may_mount(caller))) return Verdict(LetKernelRunIt{});
  const UniqueFd target = TRY(visit.resolve(target_path, follow));
  const Place place = TRY(describe_place(target.get()));
  if (!place.may_be_directory || !place.is_mount_root) return Verdict(LetKernelRunIt{});
  if (TRY(is_root_of(visit, target.get()))) return Verdict(LetKernelRunIt{});
  // With a mount of the container's own below it, the kernel says EBUSY; so be it. One that we keep
  // for a descriptor is not as busy as the kernel believes.
  const bool is_bare = !TRY(visit.has_mounts_on(target.get()));
  const bool is_ours_to_end = is_bare ? with.actions.is_kept(target.get())
                                      : TRY(carries_only_locked(visit, target.get(), with.actions));
  if (!is_ours_to_end) return Verdict(LetKernelRunIt{});
  if (!tracee.still_waiting()) return errno_error(ESRCH, "the caller is gone");
  // EINVAL if the mount itself is locked, as the container's first procfs is.
  const Result<void> unmounted = unmount_once(tracee, visit, target.get(), MNT_DETACH);
  if (!unmounted.ok()) return Verdict(FailWith{unmounted.error().code()});
  return Verdict(SucceedWith{0});
}

}  // namespace sysbox::seccomp

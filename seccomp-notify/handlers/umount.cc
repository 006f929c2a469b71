// umount2(2): over a procfs or sysfs with emulated pieces a plain umount would say EBUSY, as the
// pieces are locked and cannot go first; it takes them along instead.

#include <limits.h>
#include <sys/mount.h>

#include "common/syscalls.h"
#include "seccomp-notify/handlers/effects.h"
#include "seccomp-notify/handlers/handlers.h"

namespace sysbox::seccomp {

Result<Verdict> handle_umount(const Assistance& with, std::uint64_t flags) {
  const Tracee& tracee = with.tracee;
  const std::string target_path = TRY(tracee.read_string(tracee.argument(0), PATH_MAX));
  Caller caller = TRY(tracee.open_caller());
  const Follow follow =
      (flags & UMOUNT_NOFOLLOW) != 0 ? Follow::kNoLastSymlink : Follow::kLastSymlink;

  const Visit visit = TRY(Visit::begin(with.visitor, caller));
  if (TRY(was_unmounted(tracee, visit, target_path, follow))) return Verdict(SucceedWith{0});
  if (!TRY(may_concern_us(visit, target_path, follow))) return Verdict(LetKernelRunIt{});
  TRY(caller.learn_credentials());
  if (!TRY(may_mount(caller))) return Verdict(LetKernelRunIt{});
  const UniqueFd target = TRY(visit.resolve(target_path, follow));
  if (!TRY(is_emulated_root(visit, target.get()))) return Verdict(LetKernelRunIt{});
  // With a mount of the container's own below it, the kernel says EBUSY; so be it.
  if (!TRY(carries_only_pieces(visit, target.get(), with.actions))) {
    return Verdict(LetKernelRunIt{});
  }
  if (!tracee.still_waiting()) return errno_error(ESRCH, "the caller is gone");
  // EINVAL if the mount itself is locked, as the container's first procfs is.
  const Result<void> unmounted = unmount_once(tracee, visit, target.get(), MNT_DETACH);
  if (!unmounted.ok()) return Verdict(FailWith{unmounted.error().code()});
  return Verdict(SucceedWith{0});
}

}  // namespace sysbox::seccomp

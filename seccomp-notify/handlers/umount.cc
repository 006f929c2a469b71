// umount2(2): over a procfs or sysfs with emulated pieces, and over a bind of a directory above
// locked mounts, a plain umount would say EBUSY, as what is locked cannot go first; it takes them
// along instead.
//
// Programs that take down all that mountinfo shows below a place (umount --recursive) begin with
// what is locked, and give up at the kernel's EINVAL. As it goes with the mount that it is locked
// to, they are told that it is done: once for each, as others unmount a place until it fails
// (told_umounts.h).

#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>

#include <optional>
#include <string_view>

#include "common/syscalls.h"
#include "seccomp-notify/handlers/effects.h"
#include "seccomp-notify/handlers/handlers.h"
#include "seccomp-notify/handlers/told_umounts.h"
#include "seccomp-notify/mount_numbers.h"

namespace sysbox::seccomp {
namespace {

// Below it each network namespace has files of its own.
constexpr std::string_view kNetworkSettings = "/sys/net/";

// A quick look, before we learn who the caller is, that spares most calls the rest.
// `may_be_told`: that a locked mount is unmounted.
Result<bool> may_need_help(const Assistance& with, const Visit& visit, const std::string& path,
                           Follow follow, bool may_be_told) {
  const Result<UniqueFd> glance = visit.glance_at(path, follow);
  if (!glance.ok()) return true;  // not for certain
  const int fd = glance.value().get();
  if (!TRY(describe_place(fd)).is_mount_root) return false;
  if (with.actions.is_kept(fd) || TRY(visit.has_mounts_on(fd))) return true;
  return may_be_told ? visit.is_locked(fd) : false;
}

// Whether a locked mount belongs to one that can be unmounted: not the machine's own /proc and what
// is on it, but that of a procfs mounted since.
Result<bool> goes_with_another(const Visit& visit, int mount_fd) {
  const std::vector<MountInfo> mounts = TRY(visit.read_mounts());
  const int root = TRY(describe_place(visit.root())).mount_id;
  const MountInfo* mount = find_mount(mounts, TRY(describe_place(mount_fd)).mount_id);
  while (mount != nullptr) {
    mount = find_mount(mounts, mount->parent_id);
    if (mount == nullptr || mount->mount_id == root) return false;
    const UniqueFd parent = TRY(visit.resolve(mount->target, Follow::kNoLastSymlink));
    if (TRY(describe_place(parent.get())).mount_id != mount->mount_id) return false;
    if (!TRY(visit.is_locked(parent.get()))) return true;
  }
  return false;
}

Result<bool> carries_only_locked(const Visit& visit, int mount_fd, ContainerActions& actions) {
  const std::optional<MountCensus> census = visit.count_mounts_on(mount_fd);
  if (census && actions.is_as_attached(*census)) return true;
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

// Whether it is a piece on a sysfs, in a mount namespace that was made inside.
Result<bool> is_piece_elsewhere(const Assistance& with, const Visit& visit, const Caller& caller,
                                int mount_fd) {
  const Place place = TRY(describe_place(mount_fd));
  if (!with.actions.is_piece_device(place.device)) return false;
  const ino_t own = TRY(sys::fstat(caller.mount_namespace.get())).st_ino;
  if (own == TRY(with.actions.mount_namespace())) return false;
  const std::vector<MountInfo> mounts = TRY(visit.read_mounts());
  const MountInfo* const piece = find_mount(mounts, place.mount_id);
  if (piece == nullptr) return false;
  const MountInfo* const parent = find_mount(mounts, piece->parent_id);
  return parent != nullptr && parent->filesystem == "sysfs";
}

// EINVAL is the kernel's answer; see the top of this file for the other one.
Result<Verdict> answer_for_locked(const Assistance& with, const Visit& visit, const Caller& caller,
                                  int mount_fd, bool may_be_told) {
  // Before Linux 6.8 the number of a mount is soon another's.
  const std::optional<std::uint64_t> number = unique_mount_id(mount_fd);
  const bool may_tell = may_be_told && number &&
                        (TRY(goes_with_another(visit, mount_fd)) ||
                         is_piece_elsewhere(with, visit, caller, mount_fd).value_or(false));
  if (may_tell && TRY(ToldUmounts::instance().tell(with.tracee, caller, *number))) {
    return Verdict(SucceedWith{0});
  }
  return Verdict(FailWith{EINVAL});
}

}  // namespace

Result<Verdict> handle_umount(const Assistance& with, std::uint64_t flags) {
  const Tracee& tracee = with.tracee;
  const std::string target_path = TRY(tracee.read_string(tracee.argument(0), PATH_MAX));
  Caller caller = TRY(tracee.open_caller());
  const Follow follow =
      (flags & UMOUNT_NOFOLLOW) != 0 ? Follow::kNoLastSymlink : Follow::kLastSymlink;

  if (tracee.evidence() != 0) TRY(caller.learn_credentials());
  Visit visit = TRY(Visit::begin(with.visitor, caller));
  if (target_path.find(kNetworkSettings) != std::string::npos) {
    const UniqueFd network = TRY(caller.open_namespace("net"));
    TRY(visit.enter_network(network.get()));
  }
  if (TRY(was_unmounted(tracee, visit, target_path, follow))) return Verdict(SucceedWith{0});
  const bool may_be_told = !TRY(ToldUmounts::instance().tries_again(tracee, caller));
  if (!TRY(may_need_help(with, visit, target_path, follow, may_be_told))) {
    return Verdict(LetKernelRunIt{});
  }
  TRY(caller.learn_credentials());
  if (!TRY(may_mount(caller))) return Verdict(LetKernelRunIt{});
  UniqueFd target = TRY(visit.resolve(target_path, follow));
  const Place place = TRY(describe_place(target.get()));
  if (!place.is_mount_root || TRY(is_root_of(visit, target.get()))) {
    return Verdict(LetKernelRunIt{});
  }
  if (TRY(visit.is_locked(target.get()))) {
    return answer_for_locked(with, visit, caller, target.get(), may_be_told);
  }
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
  with.actions.end_later(std::move(target));
  return Verdict(SucceedWith{0});
}

}  // namespace sysbox::seccomp

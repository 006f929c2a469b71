// New attributes for one mount, by mount(2) with MS_REMOUNT and by mount_setattr(2) without
// AT_RECURSIVE: the emulated pieces on it have to become read-only with it, and writable again.
// New ids for a mount: id_maps.cc.

#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sys/mount.h>

#include <algorithm>
#include <cstring>

#include "common/syscalls.h"
#include "seccomp-notify/handlers/handlers.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

namespace sysbox::seccomp {
namespace {

struct Flag {
  std::uint64_t mount_flag;
  std::uint64_t attribute;
};
constexpr Flag kFlags[] = {
    {MS_RDONLY, MOUNT_ATTR_RDONLY},
    {MS_NOSUID, MOUNT_ATTR_NOSUID},
    {MS_NODEV, MOUNT_ATTR_NODEV},
    {MS_NOEXEC, MOUNT_ATTR_NOEXEC},
    {MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW},
};

// In the path of a mount, as mountinfo has it.
constexpr std::string_view kNetworkSettings = "/sys/net/";

constexpr unsigned kKnownFlags = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;

sys::MountAttributes attributes_for(bool read_only) {
  sys::MountAttributes attributes;
  (read_only ? attributes.set : attributes.clear) = MOUNT_ATTR_RDONLY;
  return attributes;
}

// Mounts of the container's own are left alone.
Result<void> set_read_only(const Visit& visit, const ContainerActions& actions, int mount_fd,
                           bool read_only) {
  const sys::MountAttributes attributes = attributes_for(read_only);
  // Refused for all if one is locked; then the kernel refuses the caller's own mount, too.
  if (TRY(carries_only_pieces(visit, mount_fd, actions))) {
    return sys::mount_setattr(mount_fd, "", AT_RECURSIVE, attributes);
  }
  const std::vector<MountInfo> mounts = TRY(visit.read_mounts());
  for (const BelowMount& piece : TRY(mounts_below(mounts, mount_fd, Depth::kDirectly))) {
    if (!is_piece(actions, *piece.mount)) continue;
    const UniqueFd piece_fd = TRY(sys::openat2(mount_fd, piece.path, O_PATH | O_NOFOLLOW,
                                               RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS));
    // Something else may cover it.
    if (TRY(describe_place(piece_fd.get())).mount_id != piece.mount->mount_id) continue;
    TRY(sys::mount_setattr(piece_fd.get(), "", 0, attributes));
  }
  return {};
}

// Below /proc/sys/net each network namespace has files of its own, so our pieces there can be
// reached only in the container's first one. Who has left it still sees them in mountinfo, and
// bubblewrap 0.8 fails if it can't give new flags to all that it sees there.
Result<Verdict> remount_among_network_settings(const Assistance& with, Visit& visit, Caller& caller,
                                               const std::string& path, std::uint64_t flags) {
  TRY(caller.learn_credentials());
  if (!TRY(may_mount(caller))) return Verdict(LetKernelRunIt{});
  const UniqueFd callers_network = TRY(caller.open_namespace("net"));
  TRY(visit.enter_network(callers_network.get()));
  const UniqueFd nearest = TRY(visit.resolve(path, Follow::kLastSymlink));
  if (TRY(describe_place(nearest.get())).is_mount_root) return Verdict(LetKernelRunIt{});
  const UniqueFd first_network = TRY(with.actions.network_namespace());
  TRY(visit.enter_network(first_network.get()));
  const UniqueFd target = TRY(visit.resolve(path, Follow::kLastSymlink));
  const Place found = TRY(describe_place(target.get()));
  if (!found.is_mount_root || !with.actions.is_piece_device(found.device)) {
    return Verdict(LetKernelRunIt{});
  }
  if (!with.tracee.still_waiting()) return errno_error(ESRCH, "the caller is gone");
  sys::MountAttributes wanted;
  for (const Flag& flag : kFlags) wanted.clear |= flag.attribute;
  wanted.set = attributes_of_flags(flags);
  wanted.clear &= ~wanted.set;
  const Result<void> changed = sys::mount_setattr(target.get(), "", 0, wanted);
  if (!changed.ok()) return Verdict(FailWith{changed.error().code()});
  return Verdict(SucceedWith{0});
}

// By what the file system that is mounted there shows; nothing where no mount has its root.
Result<std::optional<std::string>> change_ids(const Visit& visit, const Caller& caller,
                                              int target_fd, const std::string& options) {
  const Place place = TRY(describe_place(target_fd));
  if (!place.is_directory || !place.is_mount_root) return std::optional<std::string>();
  const std::vector<MountInfo> mounts = TRY(visit.read_mounts());
  const MountInfo* const mount = find_mount(mounts, place.mount_id);
  if (mount == nullptr) return std::optional<std::string>();
  return options_with_own_ids(options, mount->superblock_options, caller);
}

}  // namespace

std::uint64_t attributes_of_flags(std::uint64_t mount_flags) {
  std::uint64_t attributes = 0;
  for (const Flag& flag : kFlags) {
    if ((mount_flags & flag.mount_flag) != 0) attributes |= flag.attribute;
  }
  return attributes;
}

Result<MountAttr> read_mount_attr(const Tracee& tracee, std::uint64_t address,
                                  std::uint64_t bytes) {
  struct mount_attr raw {};
  if (bytes < MOUNT_ATTR_SIZE_VER0) return errno_error(EINVAL, "size of mount_attr");
  const std::string text = TRY(tracee.read_bytes(address, sizeof raw));
  std::memcpy(&raw, text.data(), std::min(text.size(), sizeof raw));
  return MountAttr{raw.attr_set, raw.attr_clr, raw.propagation, raw.userns_fd};
}

Result<Verdict> handle_remount(const Assistance& with, std::uint64_t flags) {
  const Tracee& tracee = with.tracee;
  const std::string target_path = TRY(tracee.read_string(tracee.argument(1), PATH_MAX));
  const std::string options = read_options_with_ids(tracee, flags);
  Caller caller = TRY(tracee.open_caller());

  Visit visit = TRY(Visit::begin(with.visitor, caller));
  if ((flags & MS_BIND) != 0 && target_path.find(kNetworkSettings) != std::string::npos) {
    return remount_among_network_settings(with, visit, caller, target_path, flags);
  }
  if (options.empty() && !TRY(may_concern_us(visit, target_path, Follow::kLastSymlink))) {
    return Verdict(LetKernelRunIt{});
  }
  TRY(caller.learn_credentials());
  if (!TRY(may_mount(caller))) return Verdict(LetKernelRunIt{});
  const UniqueFd target = TRY(visit.resolve(target_path, Follow::kLastSymlink));
  const bool is_emulated = TRY(is_emulated_root(visit, target.get()));
  std::optional<std::string> changed;
  if (!options.empty()) changed = TRY(change_ids(visit, caller, target.get(), options));
  if (!is_emulated && !changed) return Verdict(LetKernelRunIt{});
  if (!tracee.still_waiting()) return errno_error(ESRCH, "the caller is gone");
  if (is_emulated) {
    TRY(set_read_only(visit, with.actions, target.get(), (flags & MS_RDONLY) != 0));
  }
  // The kernel sets the other flags, on the one mount.
  if (!changed) return Verdict(LetKernelRunIt{});
  return remount_as_caller(visit, target.get(), flags, *changed);
}

Result<Verdict> handle_mount_setattr(const Assistance& with) {
  const Tracee& tracee = with.tracee;
  const auto flags = static_cast<unsigned>(tracee.argument(2));
  if ((flags & ~(kKnownFlags | AT_RECURSIVE)) != 0 || tracee.argument(1) == 0) {
    return Verdict(LetKernelRunIt{});
  }
  const PlaceArguments place = TRY(read_place(tracee, flags));
  const MountAttr wanted = TRY(read_mount_attr(tracee, tracee.argument(3), tracee.argument(4)));
  if ((wanted.set & MOUNT_ATTR_IDMAP) != 0) return handle_new_ids(with, place, wanted);
  if ((flags & AT_RECURSIVE) != 0) return Verdict(LetKernelRunIt{});
  const bool read_only = (wanted.set & MOUNT_ATTR_RDONLY) != 0;
  if (!read_only && (wanted.clear & MOUNT_ATTR_RDONLY) == 0) return Verdict(LetKernelRunIt{});
  Caller caller = TRY(tracee.open_caller());
  TRY(caller.learn_credentials());
  if (!TRY(may_mount(caller))) return Verdict(LetKernelRunIt{});

  const Visit visit = TRY(Visit::begin(with.visitor, caller));
  const UniqueFd target = TRY(find_place(visit, caller, place));
  const Place found = TRY(describe_place(target.get()));
  if (!found.is_directory || !found.is_mount_root) return Verdict(LetKernelRunIt{});
  const std::vector<MountInfo> mounts = TRY(visit.read_mounts());
  const bool is_attached = find_mount(mounts, found.mount_id) != nullptr;
  if (!is_attached && with.actions.is_kept(target.get())) {
    if (!tracee.still_waiting()) return errno_error(ESRCH, "the caller is gone");
    TRY(sys::mount_setattr(target.get(), "", AT_RECURSIVE, attributes_for(read_only)));
    return Verdict(LetKernelRunIt{});
  }
  if (TRY(visit.emulated_kind_of(target.get())) == EmulatedKind::kNone) {
    return Verdict(LetKernelRunIt{});
  }
  if (!tracee.still_waiting()) return errno_error(ESRCH, "the caller is gone");
  TRY(set_read_only(visit, with.actions, target.get(), read_only));
  return Verdict(LetKernelRunIt{});
}

}  // namespace sysbox::seccomp

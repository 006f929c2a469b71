#include "seccomp-notify/handlers/handlers.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>

#include <algorithm>
#include <array>

#include "common/log.h"
#include "common/root_dir.h"
#include "common/syscalls.h"
#include "seccomp-notify/namespace_mounts.h"

namespace sysbox::seccomp {
namespace {

constexpr auto kCurrentDirectory = static_cast<std::uint64_t>(AT_FDCWD);

// Directories that procfs and sysfs keep empty for mounts; a mount there hides nothing.
constexpr std::array<std::string_view, 9> kMountPoints = {
    "/fs/nfsd",      "/sys/fs/binfmt_misc",  "/fs/bpf",
    "/fs/cgroup",    "/fs/fuse/connections", "/kernel/config",
    "/kernel/debug", "/kernel/security",     "/kernel/tracing"};

bool hides_nothing(const MountInfo& cover, const MountInfo& parent) {
  std::string_view below = cover.target;
  const std::string_view base = parent.target == "/" ? "" : std::string_view(parent.target);
  if (!below.starts_with(base)) return false;
  below.remove_prefix(base.size());
  return std::find(kMountPoints.begin(), kMountPoints.end(), below) != kMountPoints.end();
}

bool acts_on_files(TrappedCall call) {
  return call != TrappedCall::kFsconfig && call != TrappedCall::kSysinfo &&
         call != TrappedCall::kSchedGetaffinity && call != TrappedCall::kLandlockRestrictSelf;
}

const char* filesystem_of(EmulatedKind kind) {
  return kind == EmulatedKind::kProc ? "proc" : "sysfs";
}

}  // namespace

Result<bool> may_mount(const Caller& caller) {
  return has_capability_in(caller, caller.mount_owner.get(), CAP_SYS_ADMIN);
}

std::vector<const MountInfo*> mounts_on(const std::vector<MountInfo>& mounts, int mount_id) {
  std::vector<const MountInfo*> found;
  for (const MountInfo& mount : mounts) {
    if (mount.parent_id == mount_id && mount.mount_id != mount_id) found.push_back(&mount);
  }
  return found;
}

const MountInfo* find_mount(const std::vector<MountInfo>& mounts, int mount_id) {
  const auto found = std::find_if(mounts.begin(), mounts.end(), [&](const MountInfo& mount) {
    return mount.mount_id == mount_id;
  });
  return found == mounts.end() ? nullptr : &*found;
}

Result<std::vector<BelowMount>> mounts_below(const std::vector<MountInfo>& mounts, int mount_fd,
                                             Depth depth) {
  const int mount_id = TRY(describe_place(mount_fd)).mount_id;
  std::vector<BelowMount> found;
  const MountInfo* const top = find_mount(mounts, mount_id);
  if (top == nullptr) return found;
  const std::size_t base = top->target == "/" ? 1 : top->target.size() + 1;
  const auto add = [&](int parent_id) {
    for (const MountInfo* mount : mounts_on(mounts, parent_id)) {
      if (!is_same_or_below(mount->target, top->target) || mount->target.size() < base) continue;
      found.push_back({mount, mount->target.substr(base)});
    }
  };
  add(mount_id);
  for (std::size_t i = 0; depth == Depth::kAll && i < found.size(); ++i) {
    add(found[i].mount->mount_id);
  }
  return found;
}

Result<PlaceArguments> read_place(const Tracee& tracee, unsigned flags) {
  return PlaceArguments{
      tracee.argument(0), TRY(tracee.read_string(tracee.argument(1), PATH_MAX)),
      (flags & AT_SYMLINK_NOFOLLOW) != 0 ? Follow::kNoLastSymlink : Follow::kLastSymlink,
      (flags & AT_EMPTY_PATH) != 0};
}

Result<UniqueFd> find_place(const Visit& visit, const Caller& caller, const PlaceArguments& place) {
  const int dirfd = static_cast<int>(static_cast<std::uint32_t>(place.dirfd));
  if (place.path.empty() && !place.may_be_empty) return errno_error(ENOENT, "an empty path");
  if (dirfd == AT_FDCWD || place.path.starts_with('/')) {
    return visit.resolve(place.path.empty() ? "." : place.path, place.follow);
  }
  UniqueFd start = TRY(sys::openat(caller.directory.get(), join("fd/", dirfd), O_PATH));
  if (place.path.empty()) return start;
  return visit.resolve_at(start.get(), place.path, place.follow);
}

bool is_piece(const ContainerActions& actions, const MountInfo& mount) {
  const std::optional<dev_t> device = device_number(mount);
  return device && actions.is_piece_device(*device);
}

Result<bool> carries_only_pieces(const Visit& visit, int place_fd,
                                 const ContainerActions& actions) {
  const std::vector<dev_t> below = TRY(visit.devices_mounted_on(place_fd));
  return !below.empty() && std::all_of(below.begin(), below.end(), [&](dev_t device) {
    return actions.is_piece_device(device);
  });
}

Result<bool> is_emulated_root(const Visit& visit, int place_fd) {
  const Place place = TRY(describe_place(place_fd));
  if (!place.is_directory || !place.is_mount_root) return false;
  return TRY(visit.emulated_kind_of(place_fd)) != EmulatedKind::kNone;
}

Result<bool> may_concern_us(const Visit& visit, const std::string& path, Follow follow) {
  const Result<UniqueFd> place = visit.glance_at(path, follow);
  if (!place.ok()) return true;  // not for certain
  return is_emulated_root(visit, place.value().get());
}

bool is_fully_visible(const std::vector<MountInfo>& mounts, EmulatedKind kind,
                      const ContainerActions& actions, bool new_mount_is_read_only) {
  return std::any_of(mounts.begin(), mounts.end(), [&](const MountInfo& mount) {
    if (mount.filesystem != filesystem_of(kind) || mount.root != "/") return false;
    // It may be locked read-only; mountinfo does not tell.
    const bool read_only = mount.options == "ro" || mount.options.starts_with("ro,");
    if (read_only && !new_mount_is_read_only) return false;
    const auto covers = mounts_on(mounts, mount.mount_id);
    return std::all_of(covers.begin(), covers.end(), [&](const MountInfo* cover) {
      return is_piece(actions, *cover) || hides_nothing(*cover, mount);
    });
  });
}

Result<bool> may_be_seen(const Assistance& with, const Caller& caller, EmulatedKind kind,
                         bool new_mount_is_read_only) {
  if (TRY(is_child_of(caller.mount_owner.get(), with.tracee.host().user_namespace.get()))) {
    return true;
  }
  {
    const Visit visit = TRY(Visit::begin(with.visitor, caller));
    const std::vector<MountInfo> within_reach = TRY(visit.read_mounts());
    if (is_fully_visible(within_reach, kind, with.actions, new_mount_is_read_only)) return true;
  }
  // The kernel's rule does not ask whether the caller's root reaches it.
  const Result<std::vector<MountInfo>> all = list_mounts_of_namespace(caller.mount_namespace.get());
  return all.ok() && is_fully_visible(all.value(), kind, with.actions, new_mount_is_read_only);
}

Verdict refusal(const Assistance& with, const Error& error) {
  if (error.code() == ENOTRECOVERABLE) {
    with.visitor.give_up();
    log::error("mount of a procfs or sysfs: ", error.message());
    return FailWith{EIO};
  }
  // The caller's own mistakes, which it can make as often as it likes.
  const bool is_mistake = error.code() == EINVAL || error.code() == EPERM;
  const auto level = is_mistake ? log::Level::kDebug : log::Level::kWarning;
  if (log::enabled(level)) {
    log::write(level, join("mount of a procfs or sysfs: ", error.message()));
  }
  return FailWith{error.code()};
}

Verdict handle(TrappedCall call, const Assistance& with) {
  Result<Verdict> verdict = [&]() -> Result<Verdict> {
    if (acts_on_files(call) && TRY(is_restricted_by_landlock(with.tracee))) {
      return Verdict(LetKernelRunIt{});
    }
    switch (call) {
      case TrappedCall::kMount:
        return handle_mount(with);
      case TrappedCall::kUmount:
        return handle_umount(with, with.tracee.argument(1));
      case TrappedCall::kOldUmount:
        return handle_umount(with, 0);
      case TrappedCall::kMknod:
        return handle_mknod(with, {kCurrentDirectory, with.tracee.argument(0),
                                   with.tracee.argument(1), with.tracee.argument(2)});
      case TrappedCall::kMknodat:
        return handle_mknod(with, {with.tracee.argument(0), with.tracee.argument(1),
                                   with.tracee.argument(2), with.tracee.argument(3)});
      case TrappedCall::kSchedGetaffinity:
        return handle_sched_getaffinity(with);
      case TrappedCall::kSysinfo:
        return handle_sysinfo(with);
      case TrappedCall::kOpenTree:
        return handle_open_tree(with, WithAttributes::kNo);
      case TrappedCall::kOpenTreeAttr:
        return handle_open_tree(with, WithAttributes::kYes);
      case TrappedCall::kMountSetattr:
        return handle_mount_setattr(with);
      case TrappedCall::kFsopen:
        return handle_fsopen(with);
      case TrappedCall::kFsmount:
        return handle_fsmount(with);
      case TrappedCall::kFsconfig:
        return handle_fsconfig(with);
      case TrappedCall::kLandlockRestrictSelf:
        return handle_landlock_restrict_self(with);
    }
    return Verdict(LetKernelRunIt{});
  }();
  if (verdict.ok()) return std::move(verdict).value();
  if (verdict.error().code() == ENOTRECOVERABLE) with.visitor.give_up();
  log::debug("trapped call left to the kernel: ", verdict.error().message());
  return LetKernelRunIt{};
}

}  // namespace sysbox::seccomp

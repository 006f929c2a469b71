#include "runc-ext/init/rootfs.h"

#include <unistd.h>

#include <algorithm>
#include <optional>

#include "common/log.h"
#include "common/mount_pieces.h"
#include "common/syscalls.h"
#include "runc-ext/init/device_nodes.h"
#include "runc-ext/init/hidden_paths.h"
#include "runc-ext/init/kernel_filesystems.h"
#include "runc-ext/init/mount_id_maps.h"
#include "runc-ext/init/mount_points.h"
#include "runc-ext/init/tmpfs.h"
#include "runc-ext/uid_shift/idmapped_mount.h"
#include "runc-ext/uid_shift/owner_shift.h"

namespace sysbox::runc {
namespace {

// A source inside the rootfs is looked up there: it sees the mounts made so far, and no link of the
// image leads it out.
Result<std::string> bind_source(const BirthPlan& plan, const RootDir& root, const OciMount& mount,
                                UniqueFd& keep) {
  if (!is_same_or_below(mount.source, plan.spec.root_path)) return mount.source;
  const std::string inside = mount.source.substr(plan.spec.root_path.size());
  keep = TRY(root.open_inside(inside.empty() ? "/" : inside, O_PATH).in(mount.source));
  return fd_path(keep.get());
}

// Maps that the specification gives for this very mount, or "idmap" for those of the container.
Result<UniqueFd> id_mapped_bind(const BirthPlan& plan, const OciMount& mount,
                                const std::string& source, int userns_fd) {
  const Recursion recursion = mount.recursive_bind ? Recursion::kWhole : Recursion::kTop;
  const Recursion mapping = mount.recursive_id_map ? Recursion::kWhole : Recursion::kTop;
  if (!mount.uid_map) return clone_id_mapped(source, recursion, mapping, userns_fd);
  const MountIdMaps maps = TRY(mount_id_maps(mount, plan.spec.linux_part));
  if (maps.uids == plan.spec.linux_part.uid_mappings &&
      maps.gids == plan.spec.linux_part.gid_mappings) {
    return clone_id_mapped(source, recursion, mapping, userns_fd);
  }
  const UniqueFd own = TRY(make_user_namespace(maps));
  return clone_id_mapped(source, recursion, mapping, own.get());
}

Result<UniqueFd> host_bind(const BirthPlan& plan, const RootDir& root, const OciMount& mount,
                           int userns_fd) {
  UniqueFd keep;
  const std::string source = TRY(bind_source(plan, root, mount, keep));
  UniqueFd made;
  if (mount.id_map || mount.uid_map) {
    made = TRY(id_mapped_bind(plan, mount, source, userns_fd));
  } else if (mount.unshifted) {
    // As it is on the host: its files belong to nobody inside, unless they do to one of its ids.
    const unsigned recursive = mount.recursive_bind ? AT_RECURSIVE : 0;
    made = TRY(sys::open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | recursive));
  } else {
    const Recursion recursion = mount.recursive_bind ? Recursion::kWhole : Recursion::kTop;
    ShiftedMount shifted =
        TRY(clone_shifted(source, recursion, userns_fd, plan.spec.linux_part.uid_mappings));
    if (!shifted.unmapped_reason.empty()) {
      log::warning("mount '", mount.destination, "': ", shifted.unmapped_reason,
                   ", its files show as nobody's");
    }
    made = std::move(shifted.mount);
  }
  TRY(apply_attributes(made.get(), mount));
  return made;
}

// Mount `mount` as the host's root, ids of the container's root. Detached.
Result<UniqueFd> make_on_host(const BirthPlan& plan, const RootDir& root, const OciMount& mount,
                              const InitNamespaces& namespaces) {
  if (mount.bind) return host_bind(plan, root, mount, namespaces.user.get());
  if (mount.type == "proc") return procfs_of(namespaces.pid.get(), mount);
  if (mount.type == "sysfs") return new_sysfs(mount);
  const OciMount labelled = with_label(writable_at_first(mount), plan.spec.linux_part.mount_label);
  if (is_device_directory(mount)) return make_dev(plan, labelled);
  if (mount.type == "mqueue") return new_filesystem(labelled);
  return new_tmpfs(root, labelled, {join("uid=", plan.root_uid), join("gid=", plan.root_gid)});
}

// The rootfs as it is, once its files belong to the container on disk.
Result<UniqueFd> make_rootfs_with_moved_owners(const BirthPlan& plan, const std::string& why) {
  const std::string& rootfs = plan.spec.root_path;
  if (!why.empty()) {
    log::warning("rootfs: ", why, "; its owners on disk become the container's until it is ",
                 "deleted, which takes time; ext4, xfs, btrfs, overlayfs, or tmpfs with Linux 6.3 ",
                 "or newer need none of that");
  }
  const std::optional<IdRange> uids = plan.spec.linux_part.uid_mappings.as_single_range();
  const std::optional<IdRange> gids = plan.spec.linux_part.gid_mappings.as_single_range();
  if (!uids || !gids) return Error(ENOTSUP, join("rootfs: ", why));
  TRY(shift_owners(rootfs, {plan.id, *uids, *gids}));
  return sys::open_tree(AT_FDCWD, rootfs, OPEN_TREE_CLONE);
}

Result<UniqueFd> make_shifted_rootfs(const BirthPlan& plan, int userns_fd) {
  const std::string& rootfs = plan.spec.root_path;
  if (has_shifted_owners(rootfs)) return make_rootfs_with_moved_owners(plan, "");
  if (plan.overlay) {
    Result<UniqueFd> overlay = mount_shifted_overlay(*plan.overlay, rootfs, userns_fd);
    if (overlay.ok() || overlay.error().code() != ENOTSUP) return overlay;
    return make_rootfs_with_moved_owners(plan, overlay.error().message());
  }
  ShiftedMount shifted =
      TRY(clone_shifted(rootfs, Recursion::kTop, userns_fd, plan.spec.linux_part.uid_mappings));
  if (shifted.unmapped_reason.empty()) return std::move(shifted.mount);
  return make_rootfs_with_moved_owners(plan, shifted.unmapped_reason);
}

Result<void> set_propagation(int mount_fd, std::uint64_t propagation) {
  sys::MountAttributes attributes;
  attributes.propagation = propagation;
  return sys::mount_setattr(mount_fd, "", 0, attributes);
}

// A clone still follows the host's mount that it is of. Only a slave is meant to.
Result<void> leave_peers_of_rootfs(int rootfs_fd, const std::string& propagation) {
  if (propagation.empty() || propagation == "slave" || propagation == "rslave") return {};
  return set_propagation(rootfs_fd, MS_PRIVATE);
}

// Returns the mount if it is to turn read-only when all are there.
Result<std::optional<UniqueFd>> make_locked_mount(const BirthPlan& plan, const RootDir& root,
                                                  const OciMount& mount,
                                                  const InitNamespaces& namespaces) {
  if (is_kernel_filesystem(mount)) {
    const UniqueFd place = TRY(open_ordinary_directory(root, mount.destination));
    const UniqueFd made = TRY(make_on_host(plan, root, mount, namespaces));
    TRY(sys::move_mount(made.get(), "", place.get(), ""));
    TRY(attach_pieces(made.get(), mount.type == "proc" ? plan.proc_pieces : plan.sysfs_pieces));
    return {std::nullopt};
  }
  UniqueFd made = TRY(make_on_host(plan, root, mount, namespaces));
  TRY(attach_inside(root, mount.destination, made.get()));
  if (mount.bind) return {std::nullopt};
  TRY(apply_attributes(made.get(), writable_at_first(mount)));
  if (!turns_read_only(mount)) return {std::nullopt};
  return {std::move(made)};
}

Result<std::uint64_t> mount_number(int fd) {
  struct statx stx {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) != 0) return last_error("statx");
  return stx.stx_mnt_id;
}

// Detached. One whose place is on another mount, by the image's links, is attached at once, and
// will be locked: only what is mounted on the rootfs itself reaches copies of the namespace.
Result<std::vector<PlacedMount>> prepare_removable(const BirthPlan& plan, const RootDir& root,
                                                   const InitNamespaces& namespaces) {
  std::vector<PlacedMount> prepared;
  const std::uint64_t rootfs = TRY(mount_number(root.fd()));
  for (const OciMount& mount : plan.mounts.removable) {
    const auto prepare = [&]() -> Result<PlacedMount> {
      UniqueFd made = TRY(make_on_host(plan, root, mount, namespaces));
      const bool is_directory = S_ISDIR(TRY(sys::fstat(made.get())).st_mode);
      UniqueFd place = TRY(open_mount_point(
          root, mount.destination, is_directory ? PlaceKind::kDirectory : PlaceKind::kFile));
      return PlacedMount{std::move(made), std::move(place)};
    };
    PlacedMount placed = TRY(prepare().in(join("mount '", mount.destination, "'")));
    if (TRY(mount_number(placed.place.get())) != rootfs) {
      TRY(sys::move_mount(placed.mount.get(), "", placed.place.get(), ""));
    } else {
      prepared.push_back(std::move(placed));
    }
  }
  return prepared;
}

// Before a rootfs turns read-only: the places that init will mount on.
Result<void> make_free_mount_points(const BirthPlan& plan, const RootDir& root) {
  for (const OciMount& mount : plan.mounts.free) {
    if (mount.type == "binfmt_misc") continue;  // procfs has the place
    bool is_directory = true;
    if (mount.bind) {
      is_directory = S_ISDIR(TRY(sys::fstatat(AT_FDCWD, mount.source)).st_mode);
    }
    const Result<UniqueFd> place = open_mount_point(
        root, mount.destination, is_directory ? PlaceKind::kDirectory : PlaceKind::kFile);
    // Below a mount that is yet to come the place is made by init.
    if (!place.ok() && place.error().code() != EROFS && place.error().code() != EACCES) {
      return place.error();
    }
  }
  if (!plan.spec.process->terminal) return {};
  const UniqueFd console = TRY(open_mount_point(root, "/dev/console", PlaceKind::kFile));
  return {};
}

}  // namespace

bool needs_writable_sysctls(const BirthPlan& plan) {
  constexpr const char* kSysctls = "/proc/sys";
  if (plan.spec.linux_part.sysctl.empty()) return false;
  const std::vector<std::string>& paths = plan.spec.linux_part.readonly_paths;
  return std::any_of(paths.begin(), paths.end(), [](const std::string& path) {
    return is_same_or_below(kSysctls, clean_path(path)) ||
           is_same_or_below(clean_path(path), kSysctls);
  });
}

Result<AssembledRootfs> assemble_rootfs(const BirthPlan& plan, const InitNamespaces& namespaces) {
  const UniqueFd rootfs = TRY(make_shifted_rootfs(plan, namespaces.user.get()));
  TRY(leave_peers_of_rootfs(rootfs.get(), plan.spec.linux_part.rootfs_propagation));
  ::umask(022);  // for the mount points that are missing
  const UniqueFd place = TRY(sys::open(plan.spec.root_path, O_PATH | O_DIRECTORY));
  // Pieces can be cloned from an attached tree on every kernel; this one goes with the old root.
  TRY(sys::move_mount(plan.emulated_tree, "", place.get(), ""));
  const UniqueFd devices = TRY(make_device_store(plan));
  if (devices) TRY(sys::move_mount(devices.get(), "", place.get(), ""));
  TRY(sys::move_mount(rootfs.get(), "", place.get(), ""));
  RootDir root(TRY(sys::open_tree(rootfs.get(), "", 0)));
  UniqueFd overlay;
  if (plan.overlay && !plan.overlay->upper.empty()) {
    overlay = TRY(sys::open_tree(root.fd(), "", OPEN_TREE_CLONE));
  }
  std::vector<UniqueFd> turning_read_only;
  for (const OciMount& mount : plan.mounts.locked) {
    std::optional<UniqueFd> turning = TRY(make_locked_mount(plan, root, mount, namespaces)
                                              .in(join("mount '", mount.destination, "'")));
    if (turning) turning_read_only.push_back(*std::move(turning));
  }
  std::vector<PlacedMount> removable = TRY(prepare_removable(plan, root, namespaces));
  TRY(attach_devices(plan, root, devices.get()));
  TRY(mask_paths(plan.spec.linux_part, root));
  UniqueFd sysctls;
  if (needs_writable_sysctls(plan)) {
    const UniqueFd place_of_them = TRY(root.open_inside("/proc/sys", O_PATH | O_DIRECTORY));
    sysctls = TRY(sys::open_tree(place_of_them.get(), "", OPEN_TREE_CLONE | AT_RECURSIVE));
  }
  TRY(make_paths_read_only(plan.spec.linux_part, root));
  if (plan.spec.root_readonly) turning_read_only.push_back(TRY(sys::open_tree(root.fd(), "", 0)));
  if (!turning_read_only.empty()) TRY(make_free_mount_points(plan, root));
  for (const UniqueFd& mount : turning_read_only) TRY(make_read_only(mount.get()));
  return AssembledRootfs{std::move(root), std::move(overlay), std::move(sysctls),
                         std::move(removable)};
}

bool is_made_by_host(const BirthPlan& plan, const OciMount& mount) {
  if (mount.bind) return true;
  // The queues are those of the ipc namespace, which root inside may mount only if it is its own.
  return mount.type == "mqueue" && plan.joined.is_foreign(NamespaceType::kIpc);
}

Result<std::vector<UniqueFd>> prepare_free_mounts(const BirthPlan& plan, const RootDir& root,
                                                  const InitNamespaces& namespaces) {
  std::vector<UniqueFd> mounts;
  for (const OciMount& mount : plan.mounts.free) {
    if (!is_made_by_host(plan, mount)) continue;
    mounts.push_back(TRY(
        make_on_host(plan, root, mount, namespaces).in(join("mount '", mount.destination, "'"))));
  }
  return mounts;
}

Result<void> pivot_into(const RootDir& root) {
  TRY(sys::fchdir(root.fd()));
  // The old root ends up over the new one and is taken off there: no directory is needed for it.
  TRY(sys::pivot_root(".", "."));
  TRY(sys::umount(".", MNT_DETACH));
  if (::chdir("/") != 0) return last_error("chdir /");
  return {};
}

Result<void> share_root(const RootDir& root) { return set_propagation(root.fd(), MS_SHARED); }

Result<void> attach_removable(const RootDir& root, const std::vector<PlacedMount>& mounts) {
  for (const PlacedMount& placed : mounts) {
    // The host's mount of which it is a clone is not to get it as well.
    TRY(set_propagation(placed.mount.get(), MS_PRIVATE));
    TRY(sys::move_mount(placed.mount.get(), "", placed.place.get(), ""));
    TRY(set_propagation(placed.mount.get(), MS_PRIVATE));
  }
  // One that follows the host's goes on doing so.
  return set_propagation(root.fd(), MS_SLAVE);
}

}  // namespace sysbox::runc

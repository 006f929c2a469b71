#include "runc-ext/init/rootfs.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>

#include "common/log.h"
#include "common/mount_pieces.h"
#include "common/syscalls.h"
#include "runc-ext/init/device_nodes.h"
#include "runc-ext/init/kernel_filesystems.h"
#include "runc-ext/uid_shift/idmapped_mount.h"

namespace sysbox::runc {
namespace {

// As it is on the host: its files belong to nobody inside, unless they do to one of its ids.
Result<UniqueFd> unshifted_bind(const OciMount& mount) {
  const unsigned recursive = mount.recursive_bind ? AT_RECURSIVE : 0;
  UniqueFd bind = TRY(sys::open_tree(AT_FDCWD, mount.source, OPEN_TREE_CLONE | recursive));
  TRY(apply_attributes(bind.get(), mount));
  return bind;
}

Result<UniqueFd> host_bind(const BirthPlan& plan, const OciMount& mount, int userns_fd) {
  if (mount.unshifted) return unshifted_bind(mount);
  ShiftedMount shifted =
      TRY(clone_shifted(mount.source, mount.recursive_bind ? Recursion::kWhole : Recursion::kTop,
                        userns_fd, plan.spec.linux_part.uid_mappings));
  if (!shifted.unmapped_reason.empty()) {
    log::warning("mount '", mount.destination, "': ", shifted.unmapped_reason,
                 ", its files show as nobody's");
  }
  TRY(apply_attributes(shifted.mount.get(), mount));
  return std::move(shifted.mount);
}

// Mount `mount` as the host's root, ids of the container's root. Detached.
Result<UniqueFd> make_on_host(const BirthPlan& plan, const OciMount& mount,
                              const InitNamespaces& namespaces) {
  if (mount.bind) return host_bind(plan, mount, namespaces.user.get());
  if (mount.type == "proc") return procfs_of(namespaces.pid.get(), mount);
  if (mount.type == "sysfs") return new_sysfs(mount);
  if (is_device_directory(mount)) return make_dev(plan, mount);
  if (mount.type == "mqueue") return new_filesystem(mount);
  return new_filesystem(mount, {join("uid=", plan.root_uid), join("gid=", plan.root_gid)});
}

Result<UniqueFd> make_shifted_rootfs(const BirthPlan& plan, int userns_fd) {
  if (plan.overlay) return mount_shifted_overlay(*plan.overlay, plan.spec.root_path, userns_fd);
  ShiftedMount shifted = TRY(clone_shifted(plan.spec.root_path, Recursion::kTop, userns_fd,
                                           plan.spec.linux_part.uid_mappings));
  if (!shifted.unmapped_reason.empty()) {
    return Error(ENOTSUP, join("rootfs: ", shifted.unmapped_reason,
                               "; put it on ext4, xfs, btrfs, overlayfs, or on tmpfs with Linux "
                               "6.3 or newer"));
  }
  return std::move(shifted.mount);
}

// A file system of the kernel's goes on a real directory only: a link in the image could lead it
// elsewhere (CVE-2023-27561, CVE-2019-19921).
Result<void> refuse_link(const RootDir& root, const std::string& destination) {
  const Result<UniqueFd> found = sys::openat2(root.fd(), destination, O_PATH | O_NOFOLLOW,
                                              RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
  if (!found.ok() && found.error().code() == ELOOP) {
    return Error(ELOOP, join("'", destination, "' is a symbolic link in the image"));
  }
  return {};
}

Result<void> make_locked_mount(const BirthPlan& plan, const RootDir& root, const OciMount& mount,
                               const InitNamespaces& namespaces) {
  if (is_kernel_filesystem(mount)) TRY(refuse_link(root, mount.destination));
  const UniqueFd made = TRY(make_on_host(plan, mount, namespaces));
  TRY(attach_inside(root, mount.destination, made.get()));
  if (!is_kernel_filesystem(mount)) return {};
  return attach_pieces(made.get(), mount.type == "proc" ? plan.proc_pieces : plan.sysfs_pieces);
}

// An empty read-only directory or the null device over each masked path that exists.
Result<void> mask_path(const RootDir& root, const std::string& path) {
  const Result<UniqueFd> target = root.open_inside(path, O_PATH);
  if (!target.ok()) {
    if (target.error().code() == ENOENT || target.error().code() == ENOTDIR) return {};
    return target.error();
  }
  UniqueFd cover;
  if (S_ISDIR(TRY(sys::fstat(target.value().get())).st_mode)) {
    OciMount empty;
    empty.type = "tmpfs";
    empty.source = "mask";
    empty.data = {"mode=555", "size=0"};
    empty.attributes_set = MOUNT_ATTR_RDONLY;
    cover = TRY(new_filesystem(empty));
  } else {
    cover = TRY(sys::open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE));
    const struct stat null = TRY(sys::fstat(cover.get()));
    if (!S_ISCHR(null.st_mode) || null.st_rdev != makedev(1, 3)) {
      return Error(EINVAL, "the host's /dev/null is not the null device");
    }
  }
  return sys::move_mount(cover.get(), "", target.value().get(), "");
}

Result<void> make_path_read_only(const RootDir& root, const std::string& path) {
  const Result<UniqueFd> target = root.open_inside(path, O_PATH);
  if (!target.ok()) {
    if (target.error().code() == ENOENT || target.error().code() == ENOTDIR) return {};
    return target.error();
  }
  const UniqueFd clone =
      TRY(sys::open_tree(target.value().get(), "", OPEN_TREE_CLONE | AT_RECURSIVE));
  sys::MountAttributes attributes;
  attributes.set = MOUNT_ATTR_RDONLY;
  TRY(sys::mount_setattr(clone.get(), "", AT_RECURSIVE, attributes));
  return sys::move_mount(clone.get(), "", target.value().get(), "");
}

// Before a rootfs turns read-only: the places that init will mount on.
Result<void> make_free_mount_points(const BirthPlan& plan, const RootDir& root) {
  for (const OciMount& mount : plan.mounts.free) {
    bool is_directory = true;
    if (mount.bind) {
      is_directory = S_ISDIR(TRY(sys::fstatat(AT_FDCWD, mount.source)).st_mode);
    }
    const Result<UniqueFd> place =
        is_directory ? root.make_directories(mount.destination) : root.make_file(mount.destination);
    // Below a mount that is yet to come the place is made by init.
    if (!place.ok() && place.error().code() != EROFS && place.error().code() != EACCES) {
      return place.error();
    }
  }
  return {};
}

}  // namespace

Result<void> attach_inside(const RootDir& root, const std::string& destination, int mount_fd) {
  const bool is_directory = S_ISDIR(TRY(sys::fstat(mount_fd)).st_mode);
  const UniqueFd target =
      TRY((is_directory ? root.make_directories(destination) : root.make_file(destination))
              .in(join("mount point '", destination, "'")));
  return sys::move_mount(mount_fd, "", target.get(), "").in(join("mount '", destination, "'"));
}

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
  const UniqueFd place = TRY(sys::open(plan.spec.root_path, O_PATH | O_DIRECTORY));
  // Pieces can be cloned from an attached tree on every kernel; these go with the old root.
  for (const int tree : plan.emulated_trees) TRY(sys::move_mount(tree, "", place.get(), ""));
  TRY(sys::move_mount(rootfs.get(), "", place.get(), ""));
  RootDir root(TRY(sys::open_tree(rootfs.get(), "", 0)));
  for (const OciMount& mount : plan.mounts.locked) {
    TRY(make_locked_mount(plan, root, mount, namespaces)
            .in(join("mount '", mount.destination, "'")));
  }
  for (const std::string& path : plan.spec.linux_part.masked_paths) {
    TRY(mask_path(root, path).in(join("masked path '", path, "'")));
  }
  UniqueFd sysctls;
  if (needs_writable_sysctls(plan)) {
    const UniqueFd place_of_them = TRY(root.open_inside("/proc/sys", O_PATH | O_DIRECTORY));
    sysctls = TRY(sys::open_tree(place_of_them.get(), "", OPEN_TREE_CLONE | AT_RECURSIVE));
  }
  for (const std::string& path : plan.spec.linux_part.readonly_paths) {
    TRY(make_path_read_only(root, path).in(join("read-only path '", path, "'")));
  }
  if (plan.spec.root_readonly) {
    TRY(make_free_mount_points(plan, root));
    sys::MountAttributes attributes;
    attributes.set = MOUNT_ATTR_RDONLY;
    TRY(sys::mount_setattr(root.fd(), "", 0, attributes).in("read-only rootfs"));
  }
  return AssembledRootfs{std::move(root), std::move(sysctls)};
}

bool is_made_by_host(const BirthPlan& plan, const OciMount& mount) {
  if (mount.bind) return true;
  // The queues are those of the ipc namespace, which root inside may mount only if it is its own.
  return mount.type == "mqueue" && plan.joined.is_foreign(NamespaceType::kIpc);
}

Result<std::vector<UniqueFd>> prepare_free_mounts(const BirthPlan& plan,
                                                  const InitNamespaces& namespaces) {
  std::vector<UniqueFd> mounts;
  for (const OciMount& mount : plan.mounts.free) {
    if (!is_made_by_host(plan, mount)) continue;
    mounts.push_back(
        TRY(make_on_host(plan, mount, namespaces).in(join("mount '", mount.destination, "'"))));
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

}  // namespace sysbox::runc

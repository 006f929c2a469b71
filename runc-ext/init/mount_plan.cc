#include "runc-ext/init/mount_plan.h"

#include <algorithm>

#include "common/root_dir.h"

namespace sysbox::runc {
namespace {

bool has_mounts_below(const std::string& directory, const std::vector<std::string>& mount_points) {
  return std::any_of(mount_points.begin(), mount_points.end(), [&](const std::string& point) {
    return point != directory && is_same_or_below(point, directory);
  });
}

// What the container's root must not be able to undo.
bool must_be_locked(const OciMount& mount, const std::vector<std::string>& host_mount_points) {
  if (is_kernel_filesystem(mount) || is_device_directory(mount)) return true;
  if (!mount.bind || mount.removable) return false;
  return mount.read_only() || (mount.recursive_set & MOUNT_ATTR_RDONLY) != 0 ||
         (mount.recursive_bind && has_mounts_below(clean_path(mount.source), host_mount_points));
}

// The place in the container that a bind inside the rootfs shows; empty for other mounts.
std::string source_in_rootfs(const OciMount& mount, const std::string& rootfs) {
  const std::string source = clean_path(mount.source);
  if (!mount.bind || rootfs.empty() || !is_same_or_below(source, rootfs)) return "";
  return source == rootfs ? "/" : source.substr(rootfs.size());
}

bool overlap(const std::string& one, const std::string& other) {
  return is_same_or_below(one, other) || is_same_or_below(other, one);
}

// Superblocks that must belong to the container's user namespace cannot be made before it is.
bool can_be_locked(const OciMount& mount) {
  return mount.bind || is_kernel_filesystem(mount) || mount.type == "tmpfs";
}

}  // namespace

bool is_kernel_filesystem(const OciMount& mount) {
  return !mount.bind && (mount.type == "proc" || mount.type == "sysfs");
}

bool is_device_directory(const OciMount& mount) {
  return !mount.bind && mount.type == "tmpfs" && mount.destination == "/dev";
}

Result<MountPlan> plan_mounts(const OciSpec& spec,
                              const std::vector<std::string>& host_mount_points) {
  const std::vector<OciMount>& mounts = spec.mounts;
  std::vector<bool> locked(mounts.size());
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    locked[i] = must_be_locked(mounts[i], host_mount_points);
    // It takes mounts along that are made before it, and what hides parts must not come off there.
    const std::string shown = source_in_rootfs(mounts[i], spec.root_path);
    if (shown.empty()) continue;
    locked[i] = true;
    for (std::size_t j = 0; j < i; ++j) {
      if (can_be_locked(mounts[j]) && overlap(mounts[j].destination, shown)) locked[j] = true;
    }
  }
  // A locked place below a mount that comes later would be hidden by it: that one is locked too.
  const auto lock_what_covers = [&](const std::string& place, std::size_t before) -> Result<void> {
    for (std::size_t i = 0; i < before; ++i) {
      if (locked[i] || !is_same_or_below(place, mounts[i].destination)) continue;
      if (!can_be_locked(mounts[i])) {
        return Error(EINVAL, join("mounts: '", place, "' cannot be protected below '",
                                  mounts[i].destination, "', a mount of type ", mounts[i].type));
      }
      locked[i] = true;
    }
    return {};
  };
  for (std::size_t i = mounts.size(); i-- > 0;) {
    if (locked[i]) TRY(lock_what_covers(mounts[i].destination, i));
  }
  for (const auto* paths : {&spec.linux_part.masked_paths, &spec.linux_part.readonly_paths}) {
    for (const std::string& path : *paths) TRY(lock_what_covers(clean_path(path), mounts.size()));
  }
  for (const OciDevice& device : spec.linux_part.devices) {
    if (!is_same_or_below(device.path, "/dev")) TRY(lock_what_covers(device.path, mounts.size()));
  }
  MountPlan plan;
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    auto& unlocked = mounts[i].removable ? plan.removable : plan.free;
    (locked[i] ? plan.locked : unlocked).push_back(mounts[i]);
  }
  return plan;
}

}  // namespace sysbox::runc

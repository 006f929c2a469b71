#include "runc-ext/init/free_mounts.h"

#include "common/log.h"
#include "common/root_dir.h"
#include "common/syscalls.h"
#include "runc-ext/init/kernel_filesystems.h"
#include "runc-ext/init/mount_points.h"
#include "runc-ext/init/rootfs.h"
#include "runc-ext/init/tmpfs.h"

namespace sysbox::runc {
namespace {

OciMount with_type(const OciMount& mount, const std::string& type) {
  OciMount other = mount;
  other.type = type;
  other.source = type;
  other.data.clear();
  return other;
}

Result<UniqueFd> attach_new(const RootDir& root, const OciMount& mount) {
  const OciMount writable = writable_at_first(mount);
  UniqueFd made = TRY(mount.type == "tmpfs" ? new_tmpfs(root, writable) : new_filesystem(writable));
  TRY(attach_inside(root, mount.destination, made.get()));
  TRY(apply_attributes(made.get(), writable));
  return made;
}

std::string last_component(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// One hierarchy of cgroup v1 (or the v2 one of a hybrid host) below a tmpfs, by the name of the
// host's mount point, with a link for each of several controllers in one.
Result<void> attach_hierarchy(const RootDir& root, const OciMount& mount,
                              const CgroupHierarchy& hierarchy) {
  const std::string name = last_component(hierarchy.mount_point);
  OciMount one = with_type(mount, hierarchy.v2 ? "cgroup2" : "cgroup");
  one.destination = mount.destination + "/" + name;
  if (!hierarchy.v2) {
    one.data = hierarchy.controllers;
    if (hierarchy.controllers.empty()) one.data = {"none", hierarchy.name};
  }
  const UniqueFd made = TRY(attach_new(root, one));
  if (hierarchy.controllers.size() < 2) return {};
  const UniqueFd directory = TRY(root.open_inside(mount.destination, O_PATH | O_DIRECTORY));
  for (const std::string& controller : hierarchy.controllers) {
    if (controller == name) continue;
    TRY(sys::symlinkat(name, directory.get(), controller));
  }
  return {};
}

// The cgroup file systems cannot be remade inside (a v1 superblock is the host's), so each that
// the host has is mounted; the cgroup namespace makes the container's own directory its root.
Result<UniqueFd> attach_cgroups(const RootDir& root, const OciMount& mount, const BirthPlan& plan) {
  const CgroupHost& host = plan.cgroup_host;
  const bool has_v2 = plan.cgroup.delegated.contains("");
  if (host.layout == CgroupLayout::kV2 || (mount.type == "cgroup2" && has_v2)) {
    return attach_new(root, with_type(mount, "cgroup2"));
  }
  if (mount.type == "cgroup2") {
    log::warning(
        "cgroup v2 is wanted (systemd 258 or newer, or by a switch), but the host has not "
        "mounted it: showing its v1 hierarchies; to have both: mount -t cgroup2 cgroup2 "
        "/sys/fs/cgroup/unified");
  }
  OciMount tmpfs = with_type(mount, "tmpfs");
  tmpfs.data = {"mode=755"};
  tmpfs.attributes_set &= ~std::uint64_t{MOUNT_ATTR_RDONLY};  // until it is filled
  UniqueFd made = TRY(attach_new(root, tmpfs));
  for (const CgroupHierarchy& hierarchy : host.hierarchies) {
    if (!plan.cgroup.delegated.contains(hierarchy.name)) continue;  // nothing to be had there
    TRY(attach_hierarchy(root, mount, hierarchy).in(join("cgroup '", hierarchy.name, "'")));
  }
  if (mount.read_only()) TRY(make_read_only(made.get()));
  return made;
}

// Since Linux 6.7 each user namespace has formats of its own. Before, and where the module is
// missing, there are none to be had.
Result<UniqueFd> attach_binary_formats(const RootDir& root, const OciMount& mount) {
  Result<UniqueFd> made = new_filesystem(mount);
  if (!made.ok()) {
    const int code = made.error().code();
    if (code == ENODEV || code == EPERM || code == EACCES) return UniqueFd();
    return made;
  }
  const UniqueFd place = TRY(open_ordinary_directory(root, mount.destination));
  TRY(sys::move_mount(made.value().get(), "", place.get(), ""));
  return made;
}

Result<UniqueFd> attach(const RootDir& root, const BirthPlan& plan, const OciMount& mount,
                        std::vector<UniqueFd>& from_host, std::size_t& next_from_host) {
  if (is_made_by_host(plan, mount)) {
    if (next_from_host >= from_host.size()) return Error(EPROTO, "the helper sent too few mounts");
    UniqueFd made = std::move(from_host[next_from_host++]);
    TRY(attach_inside(root, mount.destination, made.get()));
    return made;
  }
  if (mount.type == "cgroup" || mount.type == "cgroup2") {
    return attach_cgroups(root, mount, plan);
  }
  if (mount.type == "binfmt_misc") return attach_binary_formats(root, mount);
  return attach_new(root, with_label(mount, plan.spec.linux_part.mount_label));
}

}  // namespace

Result<void> make_free_mounts(const BirthPlan& plan, std::vector<UniqueFd> from_host) {
  ::umask(022);  // for the mount points that are missing
  const RootDir root = TRY(RootDir::open("/"));
  std::size_t next_from_host = 0;
  std::vector<UniqueFd> turning_read_only;
  for (const OciMount& mount : plan.mounts.free) {
    UniqueFd made = TRY(attach(root, plan, mount, from_host, next_from_host)
                            .in(join("mount '", mount.destination, "'")));
    if (turns_read_only(mount)) turning_read_only.push_back(std::move(made));
  }
  for (const UniqueFd& mount : turning_read_only) TRY(make_read_only(mount.get()));
  return {};
}

}  // namespace sysbox::runc

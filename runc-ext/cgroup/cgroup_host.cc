// Which cgroup hierarchies the host has mounted.

#include <linux/magic.h>

#include <algorithm>
#include <array>

#include "common/mount_info.h"
#include "common/root_dir.h"
#include "common/syscalls.h"
#include "runc-ext/cgroup/cgroup.h"

namespace sysbox::runc {
namespace {

constexpr const char* kCgroupRoot = "/sys/fs/cgroup";

// Options of a v1 superblock that are not controllers.
constexpr std::array<std::string_view, 8> kPlainOptions = {
    "rw",      "ro", "noprefix", "xattr", "cpuset_v2_mode", "favordynmods", "clone_children",
    "seclabel"};

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

CgroupHierarchy v1_hierarchy(const MountInfo& mount) {
  CgroupHierarchy hierarchy;
  hierarchy.mount_point = mount.target;
  std::string own_name;
  for (std::string& option : split(mount.superblock_options, ',')) {
    if (option.starts_with("name=")) {
      own_name = option;
    } else if (!option.starts_with("release_agent=") &&
               std::find(kPlainOptions.begin(), kPlainOptions.end(), option) ==
                   kPlainOptions.end()) {
      hierarchy.name += (hierarchy.name.empty() ? "" : ",") + option;
      hierarchy.controllers.push_back(std::move(option));
    }
  }
  if (!own_name.empty()) hierarchy.name += (hierarchy.name.empty() ? "" : ",") + own_name;
  return hierarchy;
}

CgroupHierarchy v2_hierarchy(std::string mount_point) {
  CgroupHierarchy hierarchy;
  hierarchy.mount_point = std::move(mount_point);
  hierarchy.v2 = true;
  return hierarchy;
}

}  // namespace

Result<CgroupHost> parse_cgroup_host(std::string_view mountinfo) {
  CgroupHost host;
  bool any_v1 = false, any_v2 = false;
  while (!mountinfo.empty()) {
    const std::size_t end = std::min(mountinfo.find('\n'), mountinfo.size());
    const std::string_view line = mountinfo.substr(0, end);
    mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
    // There can be thousands of other mounts.
    if (line.find(" - cgroup") == std::string_view::npos) continue;
    const MountInfo mount = TRY(parse_mount_info_line(line));
    const bool v2 = mount.filesystem == "cgroup2";
    if (!v2 && mount.filesystem != "cgroup") continue;
    // Another root is a part of the hierarchy, bound somewhere for a container.
    if (mount.root != "/" || !is_same_or_below(mount.target, kCgroupRoot)) continue;

    CgroupHierarchy hierarchy = v2 ? v2_hierarchy(mount.target) : v1_hierarchy(mount);
    const bool known = std::any_of(
        host.hierarchies.begin(), host.hierarchies.end(),
        [&hierarchy](const CgroupHierarchy& each) { return each.name == hierarchy.name; });
    if (known) continue;
    (v2 ? any_v2 : any_v1) = true;
    host.hierarchies.push_back(std::move(hierarchy));
  }
  if (host.hierarchies.empty()) {
    return Error(ENOENT, join("no cgroup hierarchy is mounted below ", kCgroupRoot,
                              "; mount one, e.g. `mount -t cgroup2 cgroup2 ", kCgroupRoot, "`"));
  }
  if (any_v1) host.layout = any_v2 ? CgroupLayout::kHybrid : CgroupLayout::kV1;
  return host;
}

Result<CgroupHost> find_cgroup_host() {
  // Pure v2 is seen at a glance; the list of mounts of a busy host takes milliseconds to read.
  const Result<UniqueFd> root = sys::open(kCgroupRoot, O_PATH | O_DIRECTORY);
  if (root) {
    const Result<std::int64_t> type = sys::fstatfs_type(root.value().get());
    if (type && type.value() == CGROUP2_SUPER_MAGIC) {
      CgroupHost host;
      host.hierarchies.push_back(v2_hierarchy(kCgroupRoot));
      return host;
    }
  }
  return parse_cgroup_host(TRY(sys::read_file("/proc/self/mountinfo")));
}

}  // namespace sysbox::runc

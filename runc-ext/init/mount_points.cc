#include "runc-ext/init/mount_points.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "common/log.h"
#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

// What lxcfs and its like bind there; runc allows the same.
constexpr std::array<std::string_view, 10> kOpenInsideProc = {
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
};

// Where in the container the open place is, whatever links its name held: "/" is the root.
Result<std::string> path_inside(const RootDir& root, int place_fd) {
  const std::string top = TRY(sys::readlinkat(AT_FDCWD, fd_path(root.fd())));
  const std::string path = TRY(sys::readlinkat(AT_FDCWD, fd_path(place_fd)));
  if (!is_same_or_below(path, top)) {
    return Error(EXDEV, join("'", path, "' is not inside the root '", top, "'"));
  }
  if (top == "/") return path;
  return path == top ? "/" : path.substr(top.size());
}

Result<void> check_path(const std::string& path) {
  if (path == "/") return Error(EINVAL, "would be on top of the root file system");
  if (!is_same_or_below(path, "/proc")) return {};
  if (std::find(kOpenInsideProc.begin(), kOpenInsideProc.end(), path) != kOpenInsideProc.end()) {
    return {};
  }
  return Error(EINVAL, join("'", path, "' cannot be mounted because it is inside /proc"));
}

}  // namespace

Result<UniqueFd> open_mount_point(const RootDir& root, const std::string& destination,
                                  PlaceKind kind) {
  TRY(check_path(destination));  // before anything is made there
  UniqueFd place = TRY((kind == PlaceKind::kDirectory ? root.make_directories(destination)
                                                      : root.make_file(destination))
                           .in("mount point"));
  const std::string path = TRY(path_inside(root, place.get()));
  TRY(check_path(path));
  return place;
}

void make_mount_points(const RootDir& rootfs, const std::vector<OciMount>& mounts) {
  for (const OciMount& mount : mounts) {
    const bool is_covered =
        std::any_of(mounts.begin(), mounts.end(), [&mount](const OciMount& other) {
          return other.destination != mount.destination &&
                 is_same_or_below(mount.destination, other.destination);
        });
    if (is_covered) continue;
    PlaceKind kind = PlaceKind::kDirectory;
    if (mount.bind) {
      const Result<struct stat> source = sys::fstatat(AT_FDCWD, mount.source);
      if (!source.ok()) continue;
      if (!S_ISDIR(source.value().st_mode)) kind = PlaceKind::kFile;
    }
    const Result<UniqueFd> place = open_mount_point(rootfs, mount.destination, kind);
    if (!place.ok()) log::debug("not made beforehand: ", place.error().message());
  }
}

Result<UniqueFd> open_ordinary_directory(const RootDir& root, const std::string& destination) {
  const auto open_it = [&] {
    return sys::openat2(root.fd(), destination, O_PATH | O_DIRECTORY,
                        RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
  };
  Result<UniqueFd> place = open_it();
  if (!place.ok() && place.error().code() == ENOENT) {
    const UniqueFd made = TRY(root.make_directories(destination).in("mount point"));
    place = open_it();
  }
  if (place.ok()) return place;
  const int code = place.error().code();
  if (code != ELOOP && code != ENOTDIR) return place;
  return Error(code, join("must be mounted on ordinary directory: '", destination,
                          code == ELOOP ? "' is, or is below, a symbolic link in the image"
                                        : "' is none in the image"));
}

Result<void> attach_inside(const RootDir& root, const std::string& destination, int mount_fd) {
  const bool is_directory = S_ISDIR(TRY(sys::fstat(mount_fd)).st_mode);
  const UniqueFd place = TRY(
      open_mount_point(root, destination, is_directory ? PlaceKind::kDirectory : PlaceKind::kFile));
  return sys::move_mount(mount_fd, "", place.get(), "");
}

}  // namespace sysbox::runc

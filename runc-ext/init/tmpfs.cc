#include "runc-ext/init/tmpfs.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <optional>

#include "common/copy_tree.h"
#include "common/syscalls.h"
#include "runc-ext/init/kernel_filesystems.h"

namespace sysbox::runc {
namespace {

bool has_option(const std::vector<std::string>& options, const std::string& name) {
  return std::any_of(options.begin(), options.end(),
                     [&name](const std::string& o) { return o.starts_with(name + "="); });
}

Result<std::optional<UniqueFd>> find_directory(const RootDir& root, const std::string& path) {
  Result<UniqueFd> found = root.open_inside(path, O_PATH | O_DIRECTORY);
  if (found.ok()) return {std::move(found).value()};
  if (found.error().code() == ENOENT) return {std::nullopt};
  return std::move(found).error();
}

std::string mode_option(mode_t mode) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "mode=%04o", mode & 07777U);
  return text.data();
}

Result<void> copy_up(int covered_fd, int tmpfs_fd, const std::vector<std::string>& options) {
  const struct stat before = TRY(sys::fstat(tmpfs_fd));
  static const std::atomic<bool> never = false;
  TRY(copy_tree(covered_fd, tmpfs_fd, never).in("tmpcopyup"));
  // Copied along with the rest, but the specification's own words hold.
  if (has_option(options, "uid") || has_option(options, "gid")) {
    TRY(sys::fchownat(tmpfs_fd, "", before.st_uid, before.st_gid, AT_EMPTY_PATH));
  }
  if (has_option(options, "mode") && ::fchmodat(tmpfs_fd, ".", before.st_mode & 07777U, 0) != 0) {
    return last_error("tmpcopyup: chmod");
  }
  return {};
}

}  // namespace

Result<UniqueFd> new_tmpfs(const RootDir& root, const OciMount& mount,
                           const std::vector<std::string>& more) {
  const std::optional<UniqueFd> covered = TRY(find_directory(root, mount.destination));
  OciMount with_mode = mount;
  // Without one the kernel makes it 1777.
  if (covered && !has_option(mount.data, "mode")) {
    with_mode.data.push_back(mode_option(TRY(sys::fstat(covered->get())).st_mode));
  }
  UniqueFd made = TRY(new_filesystem(with_mode, more));
  if (covered && mount.copy_up) TRY(copy_up(covered->get(), made.get(), mount.data));
  return made;
}

bool turns_read_only(const OciMount& mount) {
  return !mount.bind && mount.type == "tmpfs" &&
         ((mount.attributes_set | mount.recursive_set) & MOUNT_ATTR_RDONLY) != 0;
}

OciMount writable_at_first(const OciMount& mount) {
  OciMount writable = mount;
  if (!turns_read_only(mount)) return writable;
  writable.attributes_set &= ~std::uint64_t{MOUNT_ATTR_RDONLY};
  writable.recursive_set &= ~std::uint64_t{MOUNT_ATTR_RDONLY};
  return writable;
}

Result<void> make_read_only(int mount_fd) {
  sys::MountAttributes attributes;
  attributes.set = MOUNT_ATTR_RDONLY;
  return sys::mount_setattr(mount_fd, "", 0, attributes);
}

}  // namespace sysbox::runc

#include "common/copy_tree.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/directory_entries.h"
#include "common/root_dir.h"
#include "common/syscalls.h"

namespace sysbox {
namespace {

// How much is copied between two looks at the cancel flag.
constexpr std::size_t kChunkBytes = 64U << 20U;

Result<void> check(const std::atomic<bool>& cancelled) {
  if (cancelled) return errno_error(ECANCELED, "copy");
  return {};
}

// The kernel copies, sharing or offloading where the file systems can; else we do.
Result<std::size_t> copy_some(int source_fd, int target_fd, off_t offset, std::size_t size) {
  off_t source_offset = offset;
  off_t target_offset = offset;
  const ssize_t copied =
      ::copy_file_range(source_fd, &source_offset, target_fd, &target_offset, size, 0);
  if (copied >= 0) return static_cast<std::size_t>(copied);
  if (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS) {
    return last_error("copy data");
  }
  std::array<char, 65536> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled below
  const ssize_t n = ::pread(source_fd, buffer.data(), std::min(size, buffer.size()), offset);
  if (n < 0) return last_error("read");
  ssize_t written = 0;
  while (written < n) {
    const ssize_t more = ::pwrite(target_fd, buffer.data() + written,
                                  static_cast<std::size_t>(n - written), offset + written);
    if (more < 0) return last_error("write");
    written += more;
  }
  return static_cast<std::size_t>(n);
}

// Holes stay holes: disk images and databases are often mostly hole.
Result<void> copy_data(int source_fd, int target_fd, off_t size,
                       const std::atomic<bool>& cancelled) {
  if (size == 0 || ::ioctl(target_fd, FICLONE, source_fd) == 0) return {};
  off_t offset = 0;
  while (offset < size) {
    off_t end = size;
    const off_t data = ::lseek(source_fd, offset, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    if (data >= 0) {
      offset = data;
      end = std::min(size, ::lseek(source_fd, data, SEEK_HOLE));
    }
    while (offset < end) {
      TRY(check(cancelled));
      const std::size_t wanted = std::min(kChunkBytes, static_cast<std::size_t>(end - offset));
      const std::size_t copied = TRY(copy_some(source_fd, target_fd, offset, wanted));
      if (copied == 0) return sys::ftruncate(target_fd, size);  // the source became shorter
      offset += static_cast<off_t>(copied);
    }
  }
  return sys::ftruncate(target_fd, size);
}

// A name that calls without an *at form take; the last component is not followed by l*xattr.
std::string path_of(int directory_fd, const std::string& name) {
  return join(fd_path(directory_fd), "/", name);
}

// A layer of an engine's that made its marks as root of a machine: an overlay that is mounted in a
// user namespace knows them by another name only. Those that say what lies elsewhere it ignores.
constexpr const char* kOpaque = "trusted.overlay.opaque";
constexpr const char* kOpaqueOfUser = "user.overlay.opaque";

Result<void> set_attribute(const std::string& target, const char* name, std::string_view value) {
  if (::lsetxattr(target.c_str(), name, value.data(), value.size(), 0) != 0 &&
      errno != EOPNOTSUPP) {
    return last_error("set extended attribute ", name);
  }
  return {};
}

// All extended attributes; POSIX ACLs are two of them. What the target's file system has no
// place for is left out.
Result<void> copy_attributes(const std::string& source, const std::string& target) {
  std::array<char, 65536> names;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled below
  const ssize_t names_size = ::llistxattr(source.c_str(), names.data(), names.size());
  if (names_size == 0 || (names_size < 0 && errno == EOPNOTSUPP)) return {};
  if (names_size < 0) return last_error("list extended attributes");
  std::vector<char> value(65536);
  for (const char* name = names.data(); name < names.data() + names_size;
       name += std::char_traits<char>::length(name) + 1) {
    const ssize_t size = ::lgetxattr(source.c_str(), name, value.data(), value.size());
    if (size < 0 && errno == ENODATA) continue;
    if (size < 0) return last_error("read extended attribute ", name);
    const std::string_view copied(value.data(), static_cast<std::size_t>(size));
    TRY(set_attribute(target, name, copied));
    if (name == std::string_view(kOpaque)) TRY(set_attribute(target, kOpaqueOfUser, copied));
  }
  return {};
}

// Owner before mode (chown clears setuid) and before attributes (it clears capabilities).
Result<void> copy_metadata(int source_fd, int target_fd, const std::string& name,
                           const struct stat& info) {
  TRY(sys::fchownat(target_fd, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW));
  if (!S_ISLNK(info.st_mode) && ::fchmodat(target_fd, name.c_str(), info.st_mode & 07777, 0) != 0) {
    return last_error("chmod '", name, "'");
  }
  TRY(copy_attributes(path_of(source_fd, name), path_of(target_fd, name)));
  const std::array<struct timespec, 2> times = {info.st_atim, info.st_mtim};
  if (::utimensat(target_fd, name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
    return last_error("set times of '", name, "'");
  }
  return {};
}

class TreeCopy {
 public:
  TreeCopy(int source_fd, int target_fd, const std::atomic<bool>& cancelled)
      : source_root_(source_fd), target_root_(target_fd), cancelled_(cancelled) {}

  Result<void> run() {
    directories_.emplace_back(".");
    // Grows while it is walked. Opening each by its path from the top keeps the number of open
    // descriptors at two, however deep the tree is.
    for (std::size_t i = 0; i < directories_.size(); ++i) {
      const std::string path = directories_[i];
      TRY(copy_entries(path).in(path));
    }
    // Innermost first: writing into a directory changes its times, and a default ACL would
    // change what is made in it.
    for (auto path = directories_.rbegin(); path != directories_.rend(); ++path) {
      const UniqueFd source = TRY(open_directory(source_root_, *path));
      const UniqueFd target = TRY(open_directory(target_root_, *path));
      const struct stat info = TRY(sys::fstat(source.get()));
      TRY(copy_metadata(source.get(), target.get(), ".", info).in(*path));
    }
    return {};
  }

 private:
  static Result<UniqueFd> open_directory(int root_fd, const std::string& path) {
    return sys::openat2(root_fd, path, O_RDONLY | O_DIRECTORY, kInsideOnly);
  }

  Result<void> copy_entries(const std::string& path) {
    const UniqueFd source = TRY(open_directory(source_root_, path));
    const UniqueFd target = TRY(open_directory(target_root_, path));
    return for_each_entry(source.get(), [&](const struct dirent& entry) -> Result<void> {
      TRY(check(cancelled_));
      return copy_entry(source.get(), target.get(), path, entry.d_name).in(entry.d_name);
    });
  }

  Result<void> copy_entry(int source_fd, int target_fd, const std::string& directory,
                          const std::string& name) {
    const Result<struct stat> seen = sys::fstatat(source_fd, name, AT_SYMLINK_NOFOLLOW);
    // Overlayfs lists a whiteout that lies in a directory of one layer only, but lets nobody see
    // it.
    if (!seen.ok() && seen.error().code() == ENOENT) return {};
    if (!seen.ok()) return seen.error();
    const struct stat& info = seen.value();
    const std::string path = join(directory, "/", name);
    if (S_ISDIR(info.st_mode)) {
      TRY(sys::mkdirat(target_fd, name, 0700));
      return queue_directory(source_fd, path, name);
    }
    if (info.st_nlink > 1) {
      const auto [first, is_new] = hard_links_.try_emplace({info.st_dev, info.st_ino}, path);
      if (!is_new) return link(first->second, target_fd, name);
    }
    if (S_ISREG(info.st_mode)) {
      TRY(copy_file(source_fd, target_fd, name));
    } else if (S_ISLNK(info.st_mode)) {
      const std::string link_target = TRY(sys::readlinkat(source_fd, name));
      TRY(sys::symlinkat(link_target, target_fd, name));
    } else {
      TRY(sys::mknodat(target_fd, name, (info.st_mode & S_IFMT) | 0600, info.st_rdev));
    }
    return copy_metadata(source_fd, target_fd, name, info);
  }

  // A mount point stays an empty directory: what is mounted there is not the image's.
  Result<void> queue_directory(int source_fd, const std::string& path, const std::string& name) {
    const Result<UniqueFd> opened = open_directory(source_fd, name);
    if (opened.ok()) directories_.push_back(path);
    if (!opened.ok() && opened.error().code() != EXDEV) return opened.error();
    return {};
  }

  Result<void> link(const std::string& first_path, int target_fd, const std::string& name) const {
    // `first_path` was made by this copy and holds no link but perhaps as its last component.
    if (::linkat(target_root_, first_path.c_str(), target_fd, name.c_str(), 0) != 0) {
      return last_error("link '", first_path, "'");
    }
    return {};
  }

  Result<void> copy_file(int source_fd, int target_fd, const std::string& name) {
    const UniqueFd source =
        TRY(sys::openat(source_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
    const struct stat info = TRY(sys::fstat(source.get()));
    if (!S_ISREG(info.st_mode)) return Error(EIO, "was replaced while it was copied");
    const UniqueFd target = TRY(sys::openat(target_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600));
    return copy_data(source.get(), target.get(), info.st_size, cancelled_);
  }

  int source_root_;
  int target_root_;
  const std::atomic<bool>& cancelled_;
  std::vector<std::string> directories_;  // paths below both roots
  std::map<std::pair<dev_t, ino_t>, std::string> hard_links_;
};

}  // namespace

Result<void> copy_tree(int source_fd, int target_fd, const std::atomic<bool>& cancelled) {
  return TreeCopy(source_fd, target_fd, cancelled).run();
}

}  // namespace sysbox

#pragma once

// One function per system call, named like the call; each error names the call and its object.
// Descriptors that a call makes are always close-on-exec.

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox {

// A point in time after which a wait gives up.
using Deadline = std::chrono::steady_clock::time_point;
inline Deadline after(std::chrono::milliseconds timeout) {
  return std::chrono::steady_clock::now() + timeout;
}
// Milliseconds left, rounded up, never negative: what poll(2) takes.
int milliseconds_until(Deadline deadline);

namespace sys {

// Files. O_CLOEXEC is added to all flags.
Result<UniqueFd> open(const std::string& path, int flags, mode_t mode = 0);
Result<UniqueFd> openat(int dirfd, const std::string& path, int flags, mode_t mode = 0);
// openat2(2), Linux 5.6; EAGAIN (a rename raced the walk) is retried at most 128 times.
Result<UniqueFd> openat2(int dirfd, const std::string& path, std::uint64_t flags,
                         std::uint64_t resolve, mode_t mode = 0);
Result<void> mkdirat(int dirfd, const std::string& path, mode_t mode);
Result<void> mknodat(int dirfd, const std::string& path, mode_t mode, dev_t device);
Result<void> symlinkat(const std::string& target, int dirfd, const std::string& path);
Result<void> unlinkat(int dirfd, const std::string& path, int flags = 0);
Result<void> renameat(int old_dirfd, const std::string& from, int new_dirfd, const std::string& to);
Result<std::string> readlinkat(int dirfd, const std::string& path);
Result<struct stat> fstat(int fd);
Result<struct stat> fstatat(int dirfd, const std::string& path, int flags = 0);
Result<void> fchownat(int dirfd, const std::string& path, uid_t uid, gid_t gid, int flags);
Result<void> fchmod(int fd, mode_t mode);
Result<void> ftruncate(int fd, off_t size);
Result<void> fsync(int fd);
Result<void> fchdir(int fd);
Result<void> chroot(const std::string& path);
// The file system's magic number of <linux/magic.h>.
Result<std::int64_t> fstatfs_type(int fd);

// Whole contents. A regular or proc file; at most `limit_bytes`, else EFBIG.
Result<std::string> read_all(int fd, std::size_t limit_bytes = 16U << 20U);
Result<std::string> read_file(const std::string& path);
Result<std::string> read_file_at(int dirfd, const std::string& path);
// One write(2) of the whole text, as /proc and cgroup files want it; a short write is EIO.
Result<void> write_file_at(int dirfd, const std::string& path, std::string_view text);
Result<void> write_file(const std::string& path, std::string_view text);
// Writes until all is written.
Result<void> write_all(int fd, std::string_view text);

// Mounts (Linux 5.2; mount_setattr 5.12). "" as a path means the descriptor itself.
Result<UniqueFd> open_tree(int dirfd, const std::string& path, unsigned flags);
Result<void> move_mount(int from_fd, const std::string& from, int to_dirfd, const std::string& to);
Result<UniqueFd> fsopen(const std::string& filesystem);
Result<void> fsconfig_string(int fs_fd, const std::string& key, const std::string& value);
Result<void> fsconfig_flag(int fs_fd, const std::string& key);
Result<void> fsconfig_fd(int fs_fd, const std::string& key, int fd);
// Creates the superblock; the error carries the file system's own log lines.
Result<void> fsconfig_create(int fs_fd);
// An existing superblock's context, for fsconfig_reconfigure().
Result<UniqueFd> fspick(int dirfd, const std::string& path);
Result<void> fsconfig_reconfigure(int fs_fd);
// `attributes`: MOUNT_ATTR_*. The mount is detached until move_mount().
Result<UniqueFd> fsmount(int fs_fd, unsigned attributes);
struct MountAttributes {
  std::uint64_t set = 0;
  std::uint64_t clear = 0;
  std::uint64_t propagation = 0;
  int userns_fd = -1;  // with MOUNT_ATTR_IDMAP in `set`
};
Result<void> mount_setattr(int dirfd, const std::string& path, unsigned flags,
                           const MountAttributes& attributes);
Result<void> mount(const std::string& source, const std::string& target,
                   const std::string& filesystem, unsigned long flags, const std::string& data);
Result<void> umount(const std::string& target, int flags);
Result<void> pivot_root(const std::string& new_root, const std::string& put_old);

// Namespaces and processes.
Result<void> unshare(int flags);
Result<void> setns(int ns_fd, int type);
Result<UniqueFd> pidfd_open(pid_t pid);
Result<void> pidfd_send_signal(int pidfd, int signal);
// A copy of descriptor `fd` of the process (Linux 5.6).
Result<UniqueFd> pidfd_getfd(int pidfd, int fd);
Result<void> close_range(unsigned first, unsigned last, unsigned flags);

// Sockets and pipes.
Result<std::pair<UniqueFd, UniqueFd>> socketpair(int type);
Result<std::pair<UniqueFd, UniqueFd>> pipe();
// Waits until `fd` is ready for `events` (poll(2)); ETIMEDOUT after the deadline.
Result<void> wait_for(int fd, short events, Deadline deadline);
// A duplicate above the standard descriptors.
Result<UniqueFd> duplicate(int fd);

}  // namespace sys
}  // namespace sysbox

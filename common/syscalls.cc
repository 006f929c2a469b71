#include "common/syscalls.h"

#include <linux/close_range.h>
#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

namespace sysbox {

int milliseconds_until(Deadline deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(
      std::clamp<std::int64_t>(left.count(), 0, std::numeric_limits<int>::max()));
}

namespace sys {
namespace {

constexpr int kMaxWalkRetries = 128;

Result<UniqueFd> fd_or_error(long fd, std::string_view call, std::string_view object) {
  if (fd < 0) return last_error(call, " '", object, "'");
  return UniqueFd(static_cast<int>(fd));
}

Result<void> ok_or_error(long rc, std::string_view call, std::string_view object) {
  if (rc < 0) return last_error(call, " '", object, "'");
  return {};
}

// What the file system told about the last failure: lines "e text" from reading its context.
std::string file_system_log(int fs_fd) {
  std::string log;
  std::array<char, 512> line{};
  for (int i = 0; i < 8; ++i) {
    const ssize_t n = ::read(fs_fd, line.data(), line.size());
    if (n <= 0) break;
    const std::string_view text(line.data(), static_cast<std::size_t>(n));
    log += log.empty() ? " (" : "; ";
    log += text.substr(std::min<std::size_t>(2, text.size()));
    while (log.ends_with('\n')) log.pop_back();
  }
  return log.empty() ? log : log + ")";
}

}  // namespace

Result<UniqueFd> open(const std::string& path, int flags, mode_t mode) {
  return openat(AT_FDCWD, path, flags, mode);
}

Result<UniqueFd> openat(int dirfd, const std::string& path, int flags, mode_t mode) {
  return fd_or_error(::openat(dirfd, path.c_str(), flags | O_CLOEXEC, mode), "open", path);
}

Result<UniqueFd> openat2(int dirfd, const std::string& path, std::uint64_t flags,
                         std::uint64_t resolve, mode_t mode) {
  struct open_how how {};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = resolve;
  long fd = -1;
  for (int i = 0; i < kMaxWalkRetries; ++i) {
    fd = ::syscall(SYS_openat2, dirfd, path.c_str(), &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) break;
  }
  return fd_or_error(fd, "open", path);
}

Result<void> mkdirat(int dirfd, const std::string& path, mode_t mode) {
  return ok_or_error(::mkdirat(dirfd, path.c_str(), mode), "mkdir", path);
}
Result<void> mknodat(int dirfd, const std::string& path, mode_t mode, dev_t device) {
  return ok_or_error(::mknodat(dirfd, path.c_str(), mode, device), "mknod", path);
}
Result<void> symlinkat(const std::string& target, int dirfd, const std::string& path) {
  return ok_or_error(::symlinkat(target.c_str(), dirfd, path.c_str()), "symlink", path);
}
Result<void> unlinkat(int dirfd, const std::string& path, int flags) {
  return ok_or_error(::unlinkat(dirfd, path.c_str(), flags), "unlink", path);
}
Result<void> renameat(int old_dirfd, const std::string& from, int new_dirfd,
                      const std::string& to) {
  return ok_or_error(::renameat(old_dirfd, from.c_str(), new_dirfd, to.c_str()), "rename to", to);
}

Result<std::string> readlinkat(int dirfd, const std::string& path) {
  std::string target(4096, '\0');
  const ssize_t n = ::readlinkat(dirfd, path.c_str(), target.data(), target.size());
  if (n < 0) return last_error("readlink '", path, "'");
  target.resize(static_cast<std::size_t>(n));
  return target;
}

Result<struct stat> fstat(int fd) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return last_error("fstat");
  return st;
}
Result<struct stat> fstatat(int dirfd, const std::string& path, int flags) {
  struct stat st {};
  if (::fstatat(dirfd, path.c_str(), &st, flags) != 0) return last_error("stat '", path, "'");
  return st;
}
Result<void> fchownat(int dirfd, const std::string& path, uid_t uid, gid_t gid, int flags) {
  return ok_or_error(::fchownat(dirfd, path.c_str(), uid, gid, flags), "chown", path);
}
Result<void> fchmod(int fd, mode_t mode) {
  if (::fchmod(fd, mode) != 0) return last_error("fchmod");
  return {};
}
Result<void> ftruncate(int fd, off_t size) {
  if (::ftruncate(fd, size) != 0) return last_error("ftruncate");
  return {};
}
Result<void> fsync(int fd) {
  if (::fsync(fd) != 0) return last_error("fsync");
  return {};
}
Result<void> fchdir(int fd) {
  if (::fchdir(fd) != 0) return last_error("fchdir");
  return {};
}
Result<void> chroot(const std::string& path) {
  return ok_or_error(::chroot(path.c_str()), "chroot", path);
}
Result<std::int64_t> fstatfs_type(int fd) {
  struct statfs info {};
  if (::fstatfs(fd, &info) != 0) return last_error("fstatfs");
  return static_cast<std::int64_t>(info.f_type);
}

Result<std::string> read_all(int fd, std::size_t limit_bytes) {
  std::string text;
  std::array<char, 16384> chunk{};
  for (;;) {
    const ssize_t n = ::read(fd, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return last_error("read");
    if (n == 0) return text;
    if (text.size() + static_cast<std::size_t>(n) > limit_bytes) return errno_error(EFBIG, "read");
    text.append(chunk.data(), static_cast<std::size_t>(n));
  }
}

Result<std::string> read_file(const std::string& path) { return read_file_at(AT_FDCWD, path); }

Result<std::string> read_file_at(int dirfd, const std::string& path) {
  const UniqueFd fd = TRY(openat(dirfd, path, O_RDONLY));
  return read_all(fd.get()).in(path);
}

Result<void> write_file(const std::string& path, std::string_view text) {
  return write_file_at(AT_FDCWD, path, text);
}

Result<void> write_file_at(int dirfd, const std::string& path, std::string_view text) {
  const UniqueFd fd = TRY(openat(dirfd, path, O_WRONLY));
  const ssize_t n = ::write(fd.get(), text.data(), text.size());
  if (n < 0) return last_error("write '", path, "'");
  if (static_cast<std::size_t>(n) != text.size()) return errno_error(EIO, "write '", path, "'");
  return {};
}

Result<void> write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return last_error("write");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<UniqueFd> open_tree(int dirfd, const std::string& path, unsigned flags) {
  if (path.empty()) flags |= AT_EMPTY_PATH;
  return fd_or_error(::syscall(SYS_open_tree, dirfd, path.c_str(), flags | OPEN_TREE_CLOEXEC),
                     "open_tree", path);
}

Result<void> move_mount(int from_fd, const std::string& from, int to_dirfd, const std::string& to) {
  unsigned flags = 0;
  if (from.empty()) flags |= MOVE_MOUNT_F_EMPTY_PATH;
  if (to.empty()) flags |= MOVE_MOUNT_T_EMPTY_PATH;
  return ok_or_error(::syscall(SYS_move_mount, from_fd, from.c_str(), to_dirfd, to.c_str(), flags),
                     "move_mount to", to);
}

Result<UniqueFd> fsopen(const std::string& filesystem) {
  return fd_or_error(::syscall(SYS_fsopen, filesystem.c_str(), FSOPEN_CLOEXEC), "fsopen",
                     filesystem);
}

Result<void> fsconfig_string(int fs_fd, const std::string& key, const std::string& value) {
  if (::syscall(SYS_fsconfig, fs_fd, FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0) == 0) {
    return {};
  }
  const int code = errno;
  return errno_error(code, "fsconfig ", key, "=", value, file_system_log(fs_fd));
}

Result<void> fsconfig_flag(int fs_fd, const std::string& key) {
  return ok_or_error(::syscall(SYS_fsconfig, fs_fd, FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0),
                     "fsconfig", key);
}

Result<void> fsconfig_fd(int fs_fd, const std::string& key, int fd) {
  return ok_or_error(::syscall(SYS_fsconfig, fs_fd, FSCONFIG_SET_FD, key.c_str(), nullptr, fd),
                     "fsconfig", key);
}

Result<void> fsconfig_create(int fs_fd) {
  if (::syscall(SYS_fsconfig, fs_fd, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) return {};
  const int code = errno;
  return errno_error(code, "fsconfig create", file_system_log(fs_fd));
}

Result<UniqueFd> fspick(int dirfd, const std::string& path) {
  const unsigned flags =
      FSPICK_CLOEXEC | FSPICK_NO_AUTOMOUNT | (path.empty() ? FSPICK_EMPTY_PATH : 0U);
  return fd_or_error(::syscall(SYS_fspick, dirfd, path.c_str(), flags), "fspick", path);
}

Result<void> fsconfig_reconfigure(int fs_fd) {
  return ok_or_error(::syscall(SYS_fsconfig, fs_fd, FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0),
                     "fsconfig", "reconfigure");
}

Result<UniqueFd> fsmount(int fs_fd, unsigned attributes) {
  return fd_or_error(::syscall(SYS_fsmount, fs_fd, FSMOUNT_CLOEXEC, attributes), "fsmount", "");
}

Result<void> mount_setattr(int dirfd, const std::string& path, unsigned flags,
                           const MountAttributes& attributes) {
  struct mount_attr attr {};
  attr.attr_set = attributes.set;
  attr.attr_clr = attributes.clear;
  attr.propagation = attributes.propagation;
  attr.userns_fd = attributes.userns_fd >= 0 ? static_cast<std::uint64_t>(attributes.userns_fd) : 0;
  if (path.empty()) flags |= AT_EMPTY_PATH;
  return ok_or_error(::syscall(SYS_mount_setattr, dirfd, path.c_str(), flags, &attr, sizeof attr),
                     "mount_setattr", path);
}

Result<void> mount(const std::string& source, const std::string& target,
                   const std::string& filesystem, unsigned long flags, const std::string& data) {
  const auto or_null = [](const std::string& text) {
    return text.empty() ? nullptr : text.c_str();
  };
  return ok_or_error(
      ::mount(or_null(source), target.c_str(), or_null(filesystem), flags, or_null(data)),
      filesystem.empty() ? "mount" : "mount " + filesystem + " on", target);
}

Result<void> umount(const std::string& target, int flags) {
  return ok_or_error(::umount2(target.c_str(), flags), "umount", target);
}

Result<void> pivot_root(const std::string& new_root, const std::string& put_old) {
  return ok_or_error(::syscall(SYS_pivot_root, new_root.c_str(), put_old.c_str()), "pivot_root",
                     new_root);
}

Result<void> unshare(int flags) {
  if (::unshare(flags) != 0) return last_error("unshare");
  return {};
}

Result<void> setns(int ns_fd, int type) {
  if (::setns(ns_fd, type) != 0) return last_error("setns");
  return {};
}

Result<UniqueFd> pidfd_open(pid_t pid) {
  return fd_or_error(::syscall(SYS_pidfd_open, pid, 0), "pidfd_open", std::to_string(pid));
}

Result<void> pidfd_send_signal(int pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) != 0) {
    return last_error("send signal ", signal);
  }
  return {};
}

Result<UniqueFd> pidfd_getfd(int pidfd, int fd) {
  return fd_or_error(::syscall(SYS_pidfd_getfd, pidfd, fd, 0), "pidfd_getfd", std::to_string(fd));
}

Result<void> close_range(unsigned first, unsigned last, unsigned flags) {
  if (::syscall(SYS_close_range, first, last, flags) != 0) return last_error("close_range");
  return {};
}

Result<std::pair<UniqueFd, UniqueFd>> socketpair(int type) {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds.data()) != 0) {
    return last_error("socketpair");
  }
  return std::pair(UniqueFd(fds[0]), UniqueFd(fds[1]));
}

Result<std::pair<UniqueFd, UniqueFd>> pipe() {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) return last_error("pipe");
  return std::pair(UniqueFd(fds[0]), UniqueFd(fds[1]));
}

Result<void> wait_for(int fd, short events, Deadline deadline) {
  for (;;) {
    struct pollfd poll_fd {
      fd, events, 0
    };
    const int ready = ::poll(&poll_fd, 1, milliseconds_until(deadline));
    if (ready > 0) return {};
    if (ready == 0) return errno_error(ETIMEDOUT, "poll");
    if (errno != EINTR) return last_error("poll");
  }
}

Result<UniqueFd> duplicate(int fd) {
  return fd_or_error(::fcntl(fd, F_DUPFD_CLOEXEC, 3), "duplicate descriptor", std::to_string(fd));
}

}  // namespace sys
}  // namespace sysbox

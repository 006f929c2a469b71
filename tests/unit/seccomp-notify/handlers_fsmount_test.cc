#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "tests/unit/seccomp-notify/trapped_container.h"

namespace sysbox::testing {
namespace {

using Options = std::vector<std::pair<const char*, const char*>>;

int open_context(const char* filesystem, const Options& options = {}) {
  const int context = static_cast<int>(::syscall(SYS_fsopen, filesystem, FSOPEN_CLOEXEC));
  if (context < 0) return context;
  for (const auto& [key, value] : options) {
    const int command = value == nullptr ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
    if (::syscall(SYS_fsconfig, context, command, key, value, 0) != 0) return -1;
  }
  if (::syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return -1;
  return context;
}
int fsmount(int context, unsigned attributes = 0, unsigned flags = FSMOUNT_CLOEXEC) {
  return static_cast<int>(::syscall(SYS_fsmount, context, flags, attributes));
}
int make_mount(const char* filesystem, const Options& options = {}, unsigned attributes = 0) {
  const int context = open_context(filesystem, options);
  const int mount = context < 0 ? context : fsmount(context, attributes);
  const int code = errno;
  if (context >= 0) ::close(context);
  errno = code;
  return mount;
}
std::string attach(int mount, const char* target) {
  return expect_success("move_mount", ::syscall(SYS_move_mount, mount, "", AT_FDCWD, target,
                                                MOVE_MOUNT_F_EMPTY_PATH));
}
std::string read_at(int directory, const char* path) {
  const int fd = ::openat(directory, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::string("no ") + path;
  char text[200];
  const ssize_t n = ::read(fd, text, sizeof text);
  ::close(fd);
  return n < 0 ? "unreadable" : std::string(text, static_cast<std::size_t>(n));
}
bool is_procfs(int fd) {
  struct statfs fs {};
  return ::fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

// As in a real container no procfs is to be seen but those with pieces.
std::string leave_the_hosts_mounts() {
  CHECK_INSIDE(expect_success("tmpfs", ::mount("t", "mnt", "tmpfs", 0, nullptr)));
  CHECK_INSIDE(expect_success("chdir", ::chdir("mnt")));
  CHECK_INSIDE(expect_success("pivot_root", ::syscall(SYS_pivot_root, ".", ".")));
  CHECK_INSIDE(expect_success("umount", ::umount2(".", MNT_DETACH)));
  CHECK_INSIDE(expect_success("chdir", ::chdir("/")));
  CHECK_INSIDE(expect_success("mkdir", ::mkdir("proc", 0755)));
  CHECK_INSIDE(expect_success("mkdir", ::mkdir("mnt", 0755)));
  return expect_success("proc", ::mount("proc", "/proc", "proc", 0, nullptr));
}

TEST(FsmountedProcfs, CarriesThePiecesBeforeAndAfterItIsAttached) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    const int mount = make_mount("proc");
    CHECK_INSIDE(expect_success("fsmount", mount));
    CHECK_THAT(is_procfs(mount));
    CHECK_THAT((::fcntl(mount, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK_THAT(read_at(mount, "uptime") == kPieceText);
    CHECK_THAT(read_at(mount, "self/status").find("\nPid:\t1\n") != std::string::npos);
    CHECK_INSIDE(attach(mount, "mnt"));
    CHECK_THAT(read_text("mnt/uptime") == kPieceText);
    CHECK_THAT(read_text("mnt/sys/kernel/panic") == kPieceText);
    CHECK_INSIDE(expect_piece_stays("mnt/uptime"));
    CHECK_INSIDE(expect_success("umount", ::umount2("mnt", 0)));
    CHECK_THAT(::access("mnt/uptime", F_OK) != 0);
    return "";
  });
}

TEST(FsmountedProcfs, TakesOptionsAndAttributes) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(attach(make_mount("proc"), "/proc"));
    const int mount =
        make_mount("proc", {{"hidepid", "invisible"}, {"gid", "5"}},
                   MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOATIME);
    CHECK_INSIDE(attach(mount, "mnt"));
    CHECK_INSIDE(
        expect_shell("grep -q 'mnt proc ro,nosuid,nodev,noatime.*hidepid=invisible' /proc/mounts"));
    CHECK_THAT(::open("mnt/sys/kernel/panic", O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS);
    CHECK_INSIDE(expect_success("umount", ::umount2("mnt", 0)));
    CHECK_INSIDE(attach(make_mount("proc", {{"ro", nullptr}}), "mnt"));
    CHECK_THAT(::open("mnt/sys/kernel/panic", O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS);
    CHECK_THAT(::open("mnt/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS);
    return expect_success("umount", ::umount2("mnt", 0));
  });
}

// As libraries use it that trust no mounted procfs: paths in it cross no mount.
TEST(FsmountedProcfs, OfProcessesIsAPrivateHandle) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    const int mount = make_mount("proc", {{"subset", "pid"}, {"hidepid", "ptraceable"}});
    CHECK_INSIDE(expect_success("fsmount", mount));
    CHECK_THAT(is_procfs(mount));
    struct stat root {};
    CHECK_THAT(::fstat(mount, &root) == 0 && root.st_ino == 1);
    for (const char* name : {"uptime", "stat", "sys", "cpuinfo"}) {
      CHECK_THAT(::faccessat(mount, name, F_OK, 0) != 0);
    }
    struct open_how how {};
    how.flags = O_RDONLY | O_CLOEXEC;
    for (const char* name : {"thread-self/attr/current", "self/status", "1/fdinfo"}) {
      how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
      CHECK_INSIDE(expect_success(name, ::syscall(SYS_openat2, mount, name, &how, sizeof how)));
    }
    return "";
  });
}

// Mounted, it would be a procfs that hides nothing to the kernel, which then allows others.
TEST(FsmountedProcfs, OfProcessesUncoversNothing) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(leave_the_hosts_mounts());
    const auto mount_behind_our_back = [] {
      const int context = open_context("proc");
      ::fcntl(context, F_SETSIG, 0);
      return fsmount(context);
    };
    CHECK_INSIDE(expect_errno("without help", mount_behind_our_back(), EPERM));
    CHECK_INSIDE(attach(make_mount("proc", {{"subset", "pid"}}), "mnt"));
    CHECK_THAT(::access("mnt/1", F_OK) == 0 && ::access("mnt/uptime", F_OK) != 0);
    CHECK_INSIDE(expect_errno("without help", mount_behind_our_back(), EPERM));
    CHECK_INSIDE(expect_success("umount", ::umount2("mnt", 0)));
    CHECK_INSIDE(expect_success("mount", ::mount("p", "mnt", "proc", 0, "subset=pid,hidepid=2")));
    CHECK_THAT(::access("mnt/1", F_OK) == 0 && ::access("mnt/uptime", F_OK) != 0);
    CHECK_INSIDE(expect_errno("without help", mount_behind_our_back(), EPERM));
    return expect_success("umount", ::umount2("mnt", 0));
  });
}

TEST(FsmountedSysfs, CarriesThePieces) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    const int mount = make_mount("sysfs", {}, MOUNT_ATTR_RDONLY);
    CHECK_INSIDE(expect_success("fsmount", mount));
    CHECK_THAT(read_at(mount, "kernel/fscaps") == kPieceText);
    CHECK_INSIDE(attach(mount, "mnt"));
    CHECK_INSIDE(expect_shell("test \"$(ls mnt/class/net)\" = lo"));
    return expect_success("umount", ::umount2("mnt", 0));
  });
}

TEST(Fsmount, OfOtherFileSystemsIsAsTheKernels) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    const int context = open_context("tmpfs", {{"mode", "700"}});
    const int mount = fsmount(context, MOUNT_ATTR_NOEXEC, 0);
    CHECK_INSIDE(expect_success("fsmount", mount));
    CHECK_THAT((::fcntl(mount, F_GETFD) & FD_CLOEXEC) == 0);
    CHECK_INSIDE(expect_errno("again", fsmount(context), EBUSY));
    CHECK_INSIDE(attach(mount, "mnt"));
    CHECK_INSIDE(expect_success("write", ::mkdir("mnt/x", 0755)));
    ::close(mount);
    CHECK_INSIDE(expect_success("umount", ::umount2("mnt", 0)));
    return "";
  });
}

TEST(Fsmount, FailsAsTheKernels) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    const int file = ::open("file", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    CHECK_INSIDE(expect_errno("a file", fsmount(file), EINVAL));
    CHECK_INSIDE(expect_errno("no descriptor", fsmount(999), EBADF));
    CHECK_INSIDE(expect_errno("a negative one", fsmount(-1), EBADF));
    CHECK_INSIDE(expect_errno("unknown flags", fsmount(file, 0, 0x80), EINVAL));
    const int unmade = static_cast<int>(::syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC));
    CHECK_INSIDE(expect_errno("not created", fsmount(unmade), EINVAL));
    const int context = open_context("proc");
    CHECK_INSIDE(expect_errno("unknown attributes", fsmount(context, 0x40000000), EINVAL));
    CHECK_INSIDE(expect_success("after that", fsmount(context)));
    CHECK_INSIDE(expect_errno("again", fsmount(context), EBUSY));
    return as_user(1000, [context]() -> std::string {
      return expect_errno("without the capability", fsmount(context), EPERM);
    });
  });
}

TEST(FsmountedProcfs, WorksInANestedUserNamespace) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(expect_success("proc", ::mount("proc", "/proc", "proc", 0, nullptr)));
    return as_user(1000, []() -> std::string {
      CHECK_INSIDE(
          expect_success("unshare", ::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID)));
      const pid_t child = ::fork();
      if (child == 0) {
        const int mount = make_mount("proc");
        ::_exit(mount >= 0 && read_at(mount, "uptime") == kPieceText &&
                        read_at(mount, "self/status").find("\nPid:\t1\n") != std::string::npos
                    ? 0
                    : 1);
      }
      int status = 0;
      ::waitpid(child, &status, 0);
      CHECK_THAT(status == 0);
      return "";
    });
  });
}

TEST(FsmountedProcfs, IsRefusedWhereTheOldOneIsMasked) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(expect_success("proc", ::mount("proc", "/proc", "proc", 0, nullptr)));
    CHECK_INSIDE(expect_success("mask", ::mount("/dev/null", "/proc/stat", "", MS_BIND, nullptr)));
    return as_user(1000, []() -> std::string {
      CHECK_INSIDE(
          expect_success("unshare", ::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID)));
      const pid_t child = ::fork();
      if (child == 0) ::_exit(make_mount("proc") < 0 && errno == EPERM ? 0 : 1);
      int status = 0;
      ::waitpid(child, &status, 0);
      CHECK_THAT(status == 0);
      return "";
    });
  });
}

bool kernel_knows_pidfds_of_threads() {
  constexpr unsigned kPidfdThread = O_EXCL;  // PIDFD_THREAD, Linux 6.9
  const long fd = ::syscall(SYS_pidfd_open, ::getpid(), kPidfdThread);
  if (fd < 0) return false;
  ::close(static_cast<int>(fd));
  return true;
}

TEST(Fsmount, TakesTheContextOfAThreadOfItsOwn) {
  REQUIRE_CONTAINERS();
  if (!kernel_knows_pidfds_of_threads()) GTEST_SKIP() << "only a process has a pidfd here";
  expect_inside([]() -> std::string {
    std::string failure = "the thread did not run";
    std::thread([&failure] {
      failure = [&]() -> std::string {
        CHECK_INSIDE(expect_success("unshare", ::unshare(CLONE_FILES)));
        const int mount = make_mount("proc");
        CHECK_INSIDE(expect_success("fsmount", mount));
        CHECK_THAT(read_at(mount, "uptime") == kPieceText);
        return "";
      }();
    }).join();
    return failure;
  });
}

TEST(Fsmount, LeavesTheCallerItsLimitOfDescriptors) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    const int context = open_context("proc");
    while (::dup(context) >= 0) {
    }
    return expect_errno("no room", fsmount(context), EMFILE);
  });
}

// A second thread changes what the descriptor is, while the first one's call is carried out.
TEST(Fsmount, OfAChangingDescriptorNeverShowsTheHost) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(leave_the_hosts_mounts());
    std::atomic<bool> done{false};
    constexpr int kSlot = 200;
    std::thread swapper([&done] {
      while (!done) {
        const int tmpfs = open_context("tmpfs");
        const int proc = open_context("proc");
        for (int i = 0; i < 20; ++i) {
          ::dup2(i % 2 == 0 ? tmpfs : proc, kSlot);
        }
        ::close(tmpfs);
        ::close(proc);
      }
    });
    std::string failure;
    int mounted = 0;
    // The other thread may take its time to put something there.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (mounted < 100 && failure.empty() && std::chrono::steady_clock::now() < end) {
      const int mount = fsmount(kSlot);
      if (mount < 0) continue;
      ++mounted;
      if (is_procfs(mount) && read_at(mount, "uptime") != kPieceText) failure = "host's uptime";
      ::close(mount);
    }
    done = true;
    swapper.join();
    if (failure.empty() && mounted == 0) failure = "nothing was mounted";
    return failure;
  });
}

TEST(Fsmount, LeavesNoDescriptorInTheDaemon) {
  REQUIRE_CONTAINERS();
  const auto count = [] {
    int found = 0;
    for (int fd = 0; fd < 1024; ++fd) found += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return found;
  };
  const auto mount_often = [] {
    expect_inside([]() -> std::string {
      for (int i = 0; i < 20; ++i) {
        const int mount = make_mount(i % 2 == 0 ? "proc" : "tmpfs");
        CHECK_INSIDE(expect_success("fsmount", mount));
        ::close(mount);
      }
      return "";
    });
  };
  mount_often();  // makes what is kept
  const int before = count();
  mount_often();
  // A loop's workers end after it, and it is they who close its descriptors.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (count() > before && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_LE(count(), before);
}

}  // namespace
}  // namespace sysbox::testing

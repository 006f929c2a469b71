#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <thread>

#include "common/syscalls.h"
#include "tests/unit/seccomp-notify/trapped_container.h"

namespace sysbox::testing {
namespace {

constexpr unsigned long kNoFlags = 0;

std::string mount_proc(const char* target, unsigned long flags = kNoFlags,
                       const char* data = nullptr) {
  return expect_success("mount proc", ::mount("proc", target, "proc", flags, data));
}

TEST(MountedProcfs, CarriesThePieces) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_proc("mnt"));
    CHECK_THAT(read_text("mnt/uptime") == kPieceText);
    CHECK_THAT(read_text("mnt/sys/kernel/panic") == kPieceText);
    CHECK_THAT(read_text("mnt/1/comm").size() > 1);
    CHECK_THAT(read_text("mnt/self/status").find("\nPid:\t1\n") != std::string::npos);
    return "";
  });
}

std::string try_to_write(const char* path) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return std::strerror(errno);
  ::close(fd);
  return "";
}

std::string in_another_network(const std::function<std::string()>& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::unshare(CLONE_NEWNET) == 0 && work().empty() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return status == 0 ? "" : "the child in another network";
}

// As bubblewrap does for all that it sees in mountinfo.
TEST(MountedProcfs, GetsNewFlagsForItsPiecesBelowNetFromAnotherNetwork) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    constexpr const char* kPiece = "mnt/sys/net/ipv4/ip_forward";
    const auto change = [](unsigned long flags) {
      return expect_success("new flags",
                            ::mount(nullptr, kPiece, nullptr, MS_REMOUNT | MS_BIND | flags, ""));
    };
    const auto see_and_protect = [&]() -> std::string {
      CHECK_THAT(read_text(kPiece) != kPieceText);
      return change(MS_RDONLY);
    };
    // What it has mounted there itself comes first.
    const auto protect_own = [&]() -> std::string {
      CHECK_INSIDE(expect_success("bind", ::mount("mnt/version", kPiece, nullptr, MS_BIND, "")));
      CHECK_INSIDE(change(MS_RDONLY));
      CHECK_INSIDE(expect_success("umount", ::umount2(kPiece, 0)));
      return expect_errno("no mount",
                          ::mount(nullptr, "mnt/sys/net/ipv4", nullptr, MS_REMOUNT | MS_BIND, ""),
                          EINVAL);
    };
    CHECK_INSIDE(mount_proc("mnt"));
    CHECK_THAT(read_text(kPiece) == kPieceText);
    CHECK_INSIDE(try_to_write(kPiece));
    CHECK_INSIDE(in_another_network(see_and_protect));
    CHECK_THAT(try_to_write(kPiece) == std::strerror(EROFS));
    CHECK_INSIDE(in_another_network([&] { return change(0); }));
    CHECK_INSIDE(try_to_write(kPiece));
    CHECK_INSIDE(in_another_network(protect_own));
    return try_to_write(kPiece);
  });
}

TEST(MountedProcfs, HoldsItsPieces) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_proc("mnt"));
    return expect_piece_stays("mnt/uptime");
  });
}

TEST(MountedProcfs, GoesWithOneUmount) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    for (int i = 0; i < 5; ++i) {
      CHECK_INSIDE(mount_proc("mnt"));
      CHECK_THAT(read_text("mnt/uptime") == kPieceText);
      CHECK_INSIDE(expect_success("umount", ::umount2("mnt", i % 2 == 0 ? 0 : UMOUNT_NOFOLLOW)));
      CHECK_THAT(::access("mnt/uptime", F_OK) != 0);
    }
    CHECK_INSIDE(expect_errno("umount of no mount", ::umount2("mnt", 0), EINVAL));
    CHECK_INSIDE(expect_errno("umount of nothing", ::umount2("nowhere", 0), ENOENT));
    return "";
  });
}

TEST(MountedProcfs, StaysUnderAForeignMount) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_proc("mnt"));
    CHECK_INSIDE(expect_success("tmpfs", ::mount("t", "mnt/fs", "tmpfs", 0, nullptr)));
    CHECK_INSIDE(expect_errno("umount", ::umount2("mnt", 0), EBUSY));
    CHECK_INSIDE(expect_success("umount of the other", ::umount2("mnt/fs", 0)));
    CHECK_INSIDE(expect_success("umount", ::umount2("mnt", 0)));
    return "";
  });
}

TEST(MountedProcfs, IsOfTheCallersPidNamespace) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    return expect_shell(
        "unshare --pid --mount --fork sh -ec '"
        "mount -t proc proc mnt; test \"$(cat mnt/uptime)\" = emulated;"
        "test \"$(ls mnt | grep -c \"^[0-9]\")\" -le 4; test \"$(readlink mnt/self)\" -gt 1;"
        "umount mnt/uptime || :; test \"$(cat mnt/uptime)\" = emulated; umount mnt'");
  });
}

TEST(MountedProcfs, WorksInANestedUserNamespace) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_proc("/proc"));
    return expect_shell(
        "unshare --user --map-root-user --pid --mount-proc --fork sh -ec '"
        "umount /proc/uptime 2>/dev/null || :; test \"$(cat /proc/uptime)\" = emulated;"
        "mount -t proc proc mnt; test \"$(cat mnt/uptime)\" = emulated'");
  });
}

// What systemd-nspawn does: no path leads to the old root and its procfs any more.
std::string hide_the_old_root() {
  CHECK_INSIDE(expect_success("tmpfs", ::mount("t", "mnt", "tmpfs", 0, nullptr)));
  CHECK_THAT(::mkdir("mnt/proc", 0755) == 0);
  CHECK_INSIDE(expect_success("chdir", ::chdir("mnt")));
  CHECK_INSIDE(expect_success("move", ::mount(".", "/", nullptr, MS_MOVE, nullptr)));
  return expect_success("chroot", ::chroot("."));
}
std::string mount_proc_in_a_user_namespace() {
  CHECK_INSIDE(expect_success("unshare", ::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID)));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::mount("proc", "/proc", "proc", 0, nullptr) == 0 ? 0 : errno);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) return std::string("mount: ") + ::strerrordesc_np(WEXITSTATUS(status));
  return "";
}

TEST(MountedProcfs, WorksInAUserNamespaceWhoseFirstProcfsNoPathLeadsTo) {
  REQUIRE_CONTAINERS();
  const UniqueFd here = sys::open("/proc/self/ns/mnt", O_RDONLY).value();
  std::uint64_t number = 0;
  if (::ioctl(here.get(), _IOR(0xb7, 0x5, std::uint64_t), &number) != 0) {
    GTEST_SKIP() << "this kernel lists no mounts of other namespaces";
  }
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_proc("/proc"));
    CHECK_INSIDE(hide_the_old_root());
    return mount_proc_in_a_user_namespace();
  });
  expect_inside([]() -> std::string {  // nor from there is what is hidden uncovered
    CHECK_INSIDE(mount_proc("/proc"));
    CHECK_INSIDE(expect_success("mask", ::mount("/dev/null", "/proc/stat", "", MS_BIND, nullptr)));
    CHECK_INSIDE(hide_the_old_root());
    CHECK_THAT(mount_proc_in_a_user_namespace() == "mount: Operation not permitted");
    return "";
  });
}

// What an engine inside has hidden from its own containers stays hidden.
TEST(MountedProcfs, IsRefusedWhereTheOldOneIsMasked) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_proc("/proc"));
    CHECK_INSIDE(expect_success("mask", ::mount("/dev/null", "/proc/stat", "", MS_BIND, nullptr)));
    CHECK_INSIDE(mount_proc("mnt"));  // by the one who masked it
    CHECK_INSIDE(expect_success("umount", ::umount2("mnt", 0)));
    return expect_shell(
        "unshare --user --map-root-user --pid --mount --fork sh -c '"
        "mount -t proc proc mnt 2>/dev/null; test $? = 32 -a ! -e mnt/uptime'");
  });
}

TEST(MountedProcfs, IsRefusedWithoutTheCapability) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    return as_user(1000, []() -> std::string {
      return expect_errno("mount", ::mount("proc", "mnt", "proc", 0, nullptr), EPERM);
    });
  });
}

// A user namespace of one's own gives no right over the pid namespace outside of it.
TEST(MountedProcfs, IsRefusedForAPidNamespaceOfTheParent) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    return as_user(1000, []() -> std::string {
      CHECK_INSIDE(expect_success("unshare", ::unshare(CLONE_NEWUSER | CLONE_NEWNS)));
      return expect_errno("mount", ::mount("proc", "mnt", "proc", 0, nullptr), EPERM);
    });
  });
}

TEST(MountedProcfs, TakesOptions) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_proc("/proc"));
    CHECK_INSIDE(mount_proc("mnt", 0, "hidepid=2,gid=5"));
    CHECK_INSIDE(
        expect_shell("grep -q 'mnt .*proc.*gid=200005,hidepid=invisible' /proc/self/mounts"));
    CHECK_INSIDE(expect_success("umount", ::umount2("mnt", 0)));
    CHECK_INSIDE(mount_proc("mnt", 0, "subset=pid"));
    CHECK_THAT(::access("mnt/uptime", F_OK) != 0);
    CHECK_THAT(::access("mnt/1", F_OK) == 0);
    CHECK_INSIDE(expect_success("umount", ::umount2("mnt", 0)));
    CHECK_INSIDE(
        expect_errno("unknown option", ::mount("proc", "mnt", "proc", 0, "colour=red"), EINVAL));
    CHECK_INSIDE(expect_errno("a path on the host",
                              ::mount("proc", "mnt", "proc", 0, "pidns=/proc/1/ns/pid"), EINVAL));
    CHECK_INSIDE(
        expect_errno("unmapped group", ::mount("proc", "mnt", "proc", 0, "gid=70000"), EINVAL));
    return "";
  });
}

TEST(MountedProcfs, HasTheFlagsAskedFor) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_proc("/proc"));
    CHECK_INSIDE(mount_proc("mnt", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME));
    CHECK_INSIDE(
        expect_shell("grep -q 'mnt proc ro,nosuid,nodev,noexec,noatime' /proc/self/mounts"));
    CHECK_THAT(::open("mnt/sys/kernel/panic", O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS);
    CHECK_THAT(::open("mnt/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS);
    CHECK_INSIDE(expect_success("remount",
                                ::mount("", "mnt", "", MS_REMOUNT | MS_BIND | MS_NOSUID, nullptr)));
    const int fd = ::open("mnt/sys/kernel/panic", O_WRONLY | O_CLOEXEC);
    CHECK_INSIDE(expect_success("open for writing", fd));
    return "";
  });
}

TEST(MountedProcfs, UnderstandsTheOldMagicNumber) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_proc("mnt", 0xC0ED0000UL | MS_NOSUID));
    CHECK_THAT(read_text("mnt/uptime") == kPieceText);
    return "";
  });
}

TEST(MountTarget, MayBeADescriptorLink) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_proc("/proc"));
    const int fd = ::open("mnt", O_PATH | O_CLOEXEC);
    for (const char* self : {"/proc/self/fd/", "/proc/thread-self/fd/"}) {
      CHECK_INSIDE(mount_proc((self + std::to_string(fd)).c_str()));
      CHECK_THAT(read_text("mnt/uptime") == kPieceText);
      CHECK_INSIDE(expect_success("umount", ::umount2("mnt", 0)));
    }
    CHECK_INSIDE(expect_errno("closed descriptor",
                              ::mount("proc", "/proc/self/fd/999", "proc", 0, nullptr), ENOENT));
    return "";
  });
}

TEST(MountTarget, MayBeADescriptorOfAThreadOfItsOwn) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_proc("/proc"));
    std::string failure = "the thread did not run";
    std::thread([&failure] {
      failure = [&]() -> std::string {
        CHECK_INSIDE(expect_success("unshare", ::unshare(CLONE_FILES)));
        const int fd = ::open("mnt", O_PATH | O_CLOEXEC);
        CHECK_INSIDE(mount_proc(("/proc/thread-self/fd/" + std::to_string(fd)).c_str()));
        CHECK_THAT(read_text("mnt/uptime") == kPieceText);
        return expect_success("umount", ::umount2("mnt", 0));
      }();
    }).join();
    return failure;
  });
}

TEST(MountTarget, IsFoundFromTheCallersRootAndDirectory) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(expect_success("mkdir", ::mkdir("jail", 0755)));
    CHECK_INSIDE(expect_success("mkdir", ::mkdir("jail/mnt", 0755)));
    CHECK_INSIDE(expect_success("mkdir", ::mkdir("jail/sub", 0755)));
    CHECK_INSIDE(expect_success("symlink", ::symlink("/mnt", "jail/link")));
    CHECK_INSIDE(expect_success("chroot", ::chroot("jail")));
    CHECK_INSIDE(expect_success("chdir", ::chdir("/sub")));
    for (const char* target : {"../mnt", "/mnt", "/link", "../../../link"}) {
      CHECK_INSIDE(mount_proc(target));
      CHECK_THAT(read_text("/mnt/uptime") == kPieceText);
      CHECK_INSIDE(expect_success("umount", ::umount2(target, 0)));
      CHECK_THAT(::access("/mnt/uptime", F_OK) != 0);
    }
    CHECK_INSIDE(expect_errno("umount of a link", ::umount2("/link", UMOUNT_NOFOLLOW), EINVAL));
    return "";
  });
}

TEST(MountTarget, IsNotFoundBehindADirectoryThatTheCallerMayNotSearch) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(expect_success("mkdir", ::mkdir("closed", 0700)));
    CHECK_INSIDE(expect_success("mkdir", ::mkdir("closed/mnt", 0755)));
    CHECK_INSIDE(expect_success("chown", ::chown("closed", 1000, 1000)));
    CHECK_INSIDE(mount_proc("closed/mnt"));  // root of the container may search it
    CHECK_INSIDE(expect_success("umount", ::umount2("closed/mnt", 0)));
    CHECK_INSIDE(expect_success("chown", ::chown("closed", 0, 0)));
    // A nested root that is another user outside: the directory is not its own.
    return as_user(1000, []() -> std::string {
      CHECK_INSIDE(
          expect_success("unshare", ::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID)));
      const pid_t child = ::fork();
      if (child == 0) {
        const bool refused =
            ::mount("proc", "closed/mnt", "proc", 0, nullptr) < 0 && errno == EACCES;
        ::_exit(refused ? 0 : 1);
      }
      int status = 0;
      ::waitpid(child, &status, 0);
      CHECK_THAT(status == 0);
      return "";
    });
  });
}

TEST(MountTarget, HasToBeADirectory) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(expect_success("file", ::open("file", O_CREAT | O_WRONLY | O_CLOEXEC, 0644)));
    CHECK_INSIDE(expect_errno("mount", ::mount("p", "file", "proc", 0, nullptr), ENOTDIR));
    CHECK_INSIDE(expect_errno("mount", ::mount("p", "none", "proc", 0, nullptr), ENOENT));
    return "";
  });
}

TEST(MountArguments, AreReadAsTheKernelReadsThem) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    const auto* bad = reinterpret_cast<const char*>(0x10);
    CHECK_INSIDE(expect_errno("bad target", ::mount("p", bad, "proc", 0, nullptr), EFAULT));
    CHECK_INSIDE(expect_errno("bad type", ::mount("p", "mnt", bad, 0, nullptr), EFAULT));
    CHECK_INSIDE(expect_errno("bad umount", ::umount2(bad, 0), EFAULT));
    CHECK_INSIDE(expect_errno("no type", ::mount("p", "mnt", nullptr, 0, nullptr), EINVAL));
    const std::string long_path(5000, 'x');
    CHECK_INSIDE(expect_errno("long path", ::mount("p", long_path.c_str(), "proc", 0, nullptr),
                              ENAMETOOLONG));
    return "";
  });
}

TEST(MountCaller, MayBeAnyThread) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    std::string failure = "the thread did not run";
    std::thread([&failure] { failure = mount_proc("mnt"); }).join();
    CHECK_INSIDE(failure);
    CHECK_THAT(read_text("mnt/uptime") == kPieceText);
    return "";
  });
}

TEST(MountedSysfs, CarriesThePieces) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(expect_success("mount", ::mount("s", "mnt", "sysfs", MS_RDONLY, nullptr)));
    CHECK_THAT(read_text("mnt/kernel/fscaps") == kPieceText);
    CHECK_INSIDE(expect_piece_stays("mnt/kernel/fscaps"));
    CHECK_INSIDE(expect_shell("test \"$(ls mnt/class/net)\" = lo"));
    CHECK_INSIDE(expect_success("umount", ::umount2("mnt", 0)));
    return expect_shell(
        "unshare --net --mount sh -ec 'ip link add dummy7 type dummy 2>/dev/null || true;"
        "mount -t sysfs s mnt; test \"$(cat mnt/kernel/fscaps)\" = emulated; umount mnt'");
  });
}

TEST(Bind, OfAProcfsTakesThePiecesAlong) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(expect_success("mkdir", ::mkdir("proc", 0755)));
    CHECK_INSIDE(mount_proc("proc"));
    for (const char* source : {"proc", "proc/sys"}) {
      CHECK_INSIDE(expect_success("bind", ::mount(source, "mnt", "", MS_BIND, nullptr)));
      const std::string piece =
          source == std::string("proc") ? "mnt/sys/kernel/panic" : "mnt/kernel/panic";
      CHECK_THAT(read_text(piece) == kPieceText);
      CHECK_INSIDE(expect_piece_stays(piece));
      CHECK_INSIDE(expect_success("umount", ::umount2("mnt", 0)));
    }
    return "";
  });
}

// The files above a locked mount can be bound, without the other mounts.
TEST(Bind, OfADirectoryAboveLockedMountsLeavesOthersOut) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(expect_success("bind", ::mount("/", "mnt", "", MS_BIND, nullptr)));
    CHECK_THAT(::access("mnt/etc", F_OK) == 0);
    struct stat root {};
    struct stat tmp {};
    CHECK_THAT(::stat("/", &root) == 0 && ::stat("/tmp", &tmp) == 0);
    if (root.st_dev == tmp.st_dev) {  // then our tmpfs lies on the root's mount
      CHECK_THAT(::access((std::string("mnt") + ::get_current_dir_name() + "/mnt").c_str(), F_OK) !=
                 0);
    }
    CHECK_INSIDE(
        expect_errno("umount of a locked mount", ::umount2("mnt/proc", MNT_DETACH), EINVAL));
    CHECK_INSIDE(expect_success("umount", ::umount2("mnt", MNT_DETACH)));
    CHECK_INSIDE(expect_success("mkdir", ::mkdir("tree", 0755)));
    CHECK_INSIDE(expect_success("tmpfs", ::mount("t", "tree", "tmpfs", 0, nullptr)));
    CHECK_INSIDE(expect_success("mkdir", ::mkdir("tree/sub", 0755)));
    CHECK_INSIDE(expect_success("tmpfs", ::mount("t", "tree/sub", "tmpfs", 0, nullptr)));
    CHECK_INSIDE(expect_success("mkdir", ::mkdir("tree/sub/x", 0755)));
    CHECK_INSIDE(expect_success("bind", ::mount("tree", "mnt", "", MS_BIND, nullptr)));
    CHECK_THAT(::access("mnt/sub/x", F_OK) != 0);
    CHECK_INSIDE(expect_success("umount", ::umount2("mnt", 0)));
    return "";
  });
}

TEST(ReadOnlyRemount, ReachesThePieces) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_proc("mnt"));
    CHECK_INSIDE(
        expect_success("bind", ::mount("mnt/sys", "mnt/sys", "", MS_BIND | MS_REC, nullptr)));
    CHECK_INSIDE(expect_success(
        "remount", ::mount("mnt/sys", "mnt/sys", "", MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr)));
    CHECK_THAT(::open("mnt/sys/kernel/panic", O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS);
    CHECK_THAT(::open("mnt/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS);
    return "";
  });
}

TEST(OtherMounts, AreTheKernels) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(expect_success("tmpfs", ::mount("t", "mnt", "tmpfs", 0, "size=64k")));
    CHECK_INSIDE(expect_success("remount", ::mount("", "mnt", "", MS_REMOUNT, "size=128k")));
    CHECK_INSIDE(expect_success("private", ::mount("", "mnt", "", MS_SHARED, nullptr)));
    CHECK_INSIDE(expect_success("umount", ::umount2("mnt", 0)));
    CHECK_INSIDE(expect_errno("unknown", ::mount("t", "mnt", "nosuchfs", 0, nullptr), ENODEV));
    return "";
  });
}

TEST(KilledCaller, LeavesTheLoopInOrder) {
  REQUIRE_CONTAINERS();
  seccomp::NotifyLoop loop;
  for (int i = 0; i < 10; ++i) {
    const std::string outcome = run_in_container(
        []() -> std::string {
          for (;;) {
            if (::mount("p", "mnt", "proc", 0, nullptr) == 0) ::umount2("mnt", 0);
          }
        },
        loop,
        [i](int init) {
          ::usleep(static_cast<useconds_t>(1000 + i * 311));
          ::kill(init, SIGKILL);
        });
    EXPECT_EQ(outcome, "the container was ended by signal 9");
  }
  const std::string last =
      run_in_container([]() -> std::string { return mount_proc("mnt"); }, loop);
  EXPECT_EQ(last, "");
}

}  // namespace
}  // namespace sysbox::testing

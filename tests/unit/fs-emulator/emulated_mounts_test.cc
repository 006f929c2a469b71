#include "fs-emulator/emulated_mounts.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <functional>
#include <thread>

#include "common/syscalls.h"
#include "fs-emulator/background_work.h"
#include "tests/unit/seccomp-notify/trapped_container.h"

namespace sysbox::testing {
namespace {

// As the daemon's workers: a thread with file system attributes of its own.
void in_worker(const std::function<void()>& work) {
  std::thread([&work] {
    ASSERT_TRUE(sys::unshare(CLONE_FS).ok());
    work();
  }).join();
}

struct Namespaces {
  UniqueFd pid = sys::open("/proc/self/ns/pid", O_RDONLY).value();
  UniqueFd net = sys::open("/proc/self/ns/net", O_RDONLY).value();
  seccomp::TargetNamespaces target() const { return {pid.get(), net.get()}; }
};

TEST(EmulatedProcfs, ShowsPiecesAndProcesses) {
  REQUIRE_CONTAINERS();
  in_worker([] {
    const Namespaces own;
    const auto actions = make_actions();
    const auto tree = actions->procfs_with_pieces(own.target(), {});
    ASSERT_TRUE(tree.ok()) << tree.error().message();
    EXPECT_EQ(sys::read_file_at(tree.value().get(), "uptime").value_or(""), kPieceText);
    EXPECT_EQ(sys::read_file_at(tree.value().get(), "self/comm").ok(), true);
  });
}

TEST(EmulatedProcfs, OfTheSameNamespaceComesAgainAndAgain) {
  REQUIRE_CONTAINERS();
  in_worker([] {
    const Namespaces own;
    const auto actions = make_actions();
    for (int i = 0; i < 5; ++i) {
      const auto tree = actions->procfs_with_pieces(own.target(), {});
      ASSERT_TRUE(tree.ok()) << tree.error().message();
      EXPECT_EQ(sys::read_file_at(tree.value().get(), "uptime").value_or(""), kPieceText);
    }
  });
}

// After the first, its pieces come from a kit that was made meanwhile, and from its next clone.
TEST(EmulatedProcfs, IsTheSameFromAKit) {
  REQUIRE_CONTAINERS();
  in_worker([] {
    const Namespaces own;
    const auto actions = make_actions();
    for (const char* options : {"hidepid=0", "hidepid=1", "hidepid=0", "hidepid=1"}) {
      const auto procfs = actions->procfs_with_pieces(own.target(), {options, 0});
      ASSERT_TRUE(procfs.ok()) << procfs.error().message();
      EXPECT_EQ(sys::read_file_at(procfs.value().get(), "uptime").value_or(""), kPieceText);
      EXPECT_EQ(sys::read_file_at(procfs.value().get(), "sys/net/ipv4/ip_forward").value_or(""),
                kPieceText);
      const auto sysfs = actions->sysfs_with_pieces(own.target(), {});
      ASSERT_TRUE(sysfs.ok()) << sysfs.error().message();
      EXPECT_EQ(sys::read_file_at(sysfs.value().get(), "kernel/fscaps").value_or(""), kPieceText);
      actions->has_attached({});
      fs::BackgroundWork::instance().finish();
    }
  });
}

TEST(EmulatedTree, IsKnownAgainWhileNothingIsAdded) {
  REQUIRE_CONTAINERS();
  const auto actions = make_actions();
  const seccomp::MountCensus attached{100, 3, 103};
  EXPECT_FALSE(actions->is_as_attached(attached));
  actions->has_attached(attached);
  EXPECT_TRUE(actions->is_as_attached(attached));
  EXPECT_FALSE(actions->is_as_attached({100, 4, 110}));
  EXPECT_FALSE(actions->is_as_attached({100, 3, 110}));
  EXPECT_FALSE(actions->is_as_attached({99, 3, 103}));
}

TEST(EmulatedProcfs, HasPiecesBelowNetInTheContainersOwnNetworkOnly) {
  REQUIRE_CONTAINERS();
  in_worker([] {
    const Namespaces own;
    const auto actions = make_actions();
    // /proc/self is the main thread's.
    ASSERT_TRUE(sys::unshare(CLONE_NEWNET).ok());
    Namespaces nested;
    nested.net = sys::open("/proc/thread-self/ns/net", O_RDONLY).value();
    const auto read_from = [&](const Namespaces& reader, const Namespaces& mounted) {
      const auto tree = actions->procfs_with_pieces(mounted.target(), {});
      EXPECT_TRUE(tree.ok()) << tree.error().message();
      EXPECT_TRUE(sys::setns(reader.net.get(), CLONE_NEWNET).ok());
      EXPECT_EQ(sys::read_file_at(tree.value().get(), "uptime").value_or(""), kPieceText);
      auto text = sys::read_file_at(tree.value().get(), "sys/net/ipv4/ip_forward");
      EXPECT_TRUE(sys::setns(nested.net.get(), CLONE_NEWNET).ok());
      return std::move(text).value_or("");
    };
    for (int i = 0; i < 3; ++i) {  // anew, as a template, as its clone
      EXPECT_EQ(read_from(own, own), kPieceText);
      EXPECT_NE(read_from(nested, own), kPieceText);
    }
    for (int i = 0; i < 3; ++i) {
      EXPECT_NE(read_from(nested, nested), kPieceText);
      EXPECT_NE(read_from(own, nested), kPieceText);
    }
  });
}

TEST(EmulatedProcfs, RefusesOptionsThatItDoesNotKnow) {
  REQUIRE_CONTAINERS();
  in_worker([] {
    const Namespaces own;
    const auto actions = make_actions();
    for (const char* options : {"colour=red", "pidns=/proc/1/ns/pid", "hidepid=9", "subset=x"}) {
      const auto tree = actions->procfs_with_pieces(own.target(), {options, 0});
      ASSERT_FALSE(tree.ok()) << options;
      EXPECT_EQ(tree.error().code(), EINVAL) << options;
    }
    EXPECT_TRUE(actions->procfs_with_pieces(own.target(), {"hidepid=1,subset=pid,", 0}).ok());
  });
}

TEST(EmulatedSysfs, ShowsPieces) {
  REQUIRE_CONTAINERS();
  in_worker([] {
    const Namespaces own;
    const auto tree = make_actions()->sysfs_with_pieces(own.target(), {});
    ASSERT_TRUE(tree.ok()) << tree.error().message();
    EXPECT_EQ(sys::read_file_at(tree.value().get(), "kernel/fscaps").value_or(""), kPieceText);
  });
}

TEST(EmulatedTree, IsKnownByItsDevice) {
  REQUIRE_CONTAINERS();
  const auto tree = make_pieces();
  auto identity = std::make_shared<fs::ContainerIdentity>();
  const auto actions = fs::make_container_actions(identity, tree, {});
  const auto device = sys::fstat(tree->mount.get()).value().st_dev;
  EXPECT_TRUE(actions->is_piece_device(device));
  EXPECT_FALSE(actions->is_piece_device(device + 1));
}

// The ways that kernels without an ability go; all of them work here, too.
class OlderKernel : public ::testing::Test {
 protected:
  void TearDown() override {
    fs::kernel_abilities().procfs_of_namespace = true;
    fs::kernel_abilities().attach_to_detached = true;
    fs::kernel_abilities().clone_detached = true;
  }
};

std::string a_container_mounts_both() {
  seccomp::NotifyLoop loop;
  return run_in_container(
      []() -> std::string {
        for (int i = 0; i < 3; ++i) {
          CHECK_INSIDE(expect_success("proc", ::mount("p", "mnt", "proc", 0, nullptr)));
          CHECK_THAT(read_text("mnt/uptime") == kPieceText);
          CHECK_THAT(read_text("mnt/self/status").find("\nPid:\t1\n") != std::string::npos);
          CHECK_INSIDE(expect_piece_stays("mnt/uptime"));
          CHECK_INSIDE(expect_success("umount", ::umount2("mnt", 0)));
          CHECK_INSIDE(expect_success("proc", ::mount("p", "mnt", "proc", 0, "subset=pid")));
          CHECK_THAT(::access("mnt/1/comm", F_OK) == 0 && ::access("mnt/uptime", F_OK) != 0);
          CHECK_INSIDE(expect_success("umount", ::umount2("mnt", 0)));
          CHECK_INSIDE(expect_success("sysfs", ::mount("s", "mnt", "sysfs", 0, nullptr)));
          CHECK_THAT(read_text("mnt/kernel/fscaps") == kPieceText);
          CHECK_INSIDE(expect_success("umount", ::umount2("mnt", 0)));
        }
        return "";
      },
      loop);
}

TEST_F(OlderKernel, MountsAProcfsFromATaskOfThePidNamespace) {
  REQUIRE_CONTAINERS();
  fs::kernel_abilities().procfs_of_namespace = false;
  EXPECT_EQ(a_container_mounts_both(), "");
}

TEST_F(OlderKernel, AttachesPiecesInAMountNamespace) {
  REQUIRE_CONTAINERS();
  fs::kernel_abilities().attach_to_detached = false;
  EXPECT_EQ(a_container_mounts_both(), "");
}

TEST_F(OlderKernel, BuildsEachTreeAnew) {
  REQUIRE_CONTAINERS();
  fs::kernel_abilities().procfs_of_namespace = false;
  fs::kernel_abilities().attach_to_detached = false;
  fs::kernel_abilities().clone_detached = false;
  EXPECT_EQ(a_container_mounts_both(), "");
  EXPECT_EQ(a_container_mounts_both(), "");
}

// A thread is where it was, and nothing is left in the host's mount namespace.
TEST(EmulatedMounts, LeaveTheThreadAndTheHostAsTheyWere) {
  REQUIRE_CONTAINERS();
  in_worker([] {
    const auto mount_namespace = [] {
      return sys::readlinkat(AT_FDCWD, "/proc/thread-self/ns/mnt").value_or("");
    };
    const auto net_namespace = [] {
      return sys::readlinkat(AT_FDCWD, "/proc/thread-self/ns/net").value_or("");
    };
    const std::string mounts = read_text("/proc/thread-self/mountinfo");
    const std::string mount_before = mount_namespace();
    const std::string net_before = net_namespace();
    const Namespaces own;
    const auto actions = make_actions();
    EXPECT_TRUE(actions->procfs_with_pieces(own.target(), {}).ok());
    EXPECT_TRUE(actions->sysfs_with_pieces(own.target(), {}).ok());
    EXPECT_EQ(mount_namespace(), mount_before);
    EXPECT_EQ(net_namespace(), net_before);
    EXPECT_EQ(read_text("/proc/thread-self/mountinfo"), mounts);
  });
}

TEST(EmulatedMounts, LeakNoDescriptors) {
  REQUIRE_CONTAINERS();
  in_worker([] {
    const auto count = [] {
      int open = 0;
      for (int fd = 0; fd < 1024; ++fd) open += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
      return open;
    };
    const Namespaces own;
    const auto actions = make_actions();
    EXPECT_TRUE(actions->procfs_with_pieces(own.target(), {}).ok());
    EXPECT_TRUE(actions->procfs_with_pieces(own.target(), {}).ok());
    EXPECT_TRUE(actions->sysfs_with_pieces(own.target(), {}).ok());
    fs::BackgroundWork::instance().finish();
    const int before = count();
    for (int i = 0; i < 20; ++i) {
      EXPECT_TRUE(actions->procfs_with_pieces(own.target(), {}).ok());
      EXPECT_TRUE(actions->procfs_with_pieces(own.target(), {"hidepid=1", 0}).ok());
      EXPECT_TRUE(actions->sysfs_with_pieces(own.target(), {}).ok());
    }
    fs::BackgroundWork::instance().finish();
    EXPECT_EQ(count(), before);
  });
}

}  // namespace
}  // namespace sysbox::testing

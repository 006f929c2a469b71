#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <thread>

#include "seccomp-notify/device_nodes.h"
#include "seccomp-notify/handlers/handlers.h"
#include "tests/unit/seccomp-notify/trapped_container.h"

namespace sysbox::testing {
namespace {

// A directory on a file system of the host's that the container's root owns.
class OnTheHost {
 public:
  OnTheHost() {
    std::string name = "/tmp/container-nodes-XXXXXX";
    path_ = ::mkdtemp(name.data());
    EXPECT_EQ(::chmod(path_.c_str(), 0755), 0);
    EXPECT_EQ(::mkdir(at("own").c_str(), 0755), 0);
    EXPECT_EQ(::chown(at("own").c_str(), kFirstHostId, kFirstHostId), 0);
    EXPECT_EQ(::mkdir(at("host").c_str(), 0755), 0);
  }
  ~OnTheHost() { EXPECT_EQ(shell("rm -rf '" + path_ + "'"), 0); }
  OnTheHost(const OnTheHost&) = delete;
  OnTheHost& operator=(const OnTheHost&) = delete;

  std::string at(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::string make(const std::string& path, mode_t mode, dev_t device) {
  return expect_success("mknod", ::mknod(path.c_str(), mode, device));
}
std::string expect_refusal(const std::string& path, mode_t mode, dev_t device, int code = EPERM) {
  return expect_errno("mknod", ::mknod(path.c_str(), mode, device), code);
}
std::string expect_node(const std::string& path, mode_t mode, dev_t device) {
  struct stat node {};
  if (::lstat(path.c_str(), &node) != 0) return path + " is not there";
  if (node.st_mode != mode) return join("its mode is ", node.st_mode);
  if (node.st_rdev != device) return join("its device is ", node.st_rdev);
  return node.st_uid == 0 && node.st_gid == 0 ? "" : "it is not root's";
}

TEST(MadeNode, IsUsableAndRemovable) {
  REQUIRE_CONTAINERS();
  const OnTheHost place;
  const std::string null = place.at("own/null");
  expect_inside([&]() -> std::string {
    CHECK_INSIDE(make(null, S_IFCHR | 0666, makedev(1, 3)));
    CHECK_INSIDE(expect_node(null, S_IFCHR | 0644, makedev(1, 3)));  // umask 022
    CHECK_INSIDE(expect_shell("echo text >" + null + " && test -z \"$(cat " + null + ")\""));
    CHECK_INSIDE(expect_refusal(null, S_IFCHR | 0666, makedev(1, 3), EEXIST));
    CHECK_INSIDE(expect_success("unlink", ::unlink(null.c_str())));
    ::umask(0);
    CHECK_INSIDE(make(null, S_IFCHR | 0666, makedev(1, 5)));
    return expect_node(null, S_IFCHR | 0666, makedev(1, 5));
  });
}

TEST(MadeNode, IsAnyOfTheTableAndNoOther) {
  REQUIRE_CONTAINERS();
  const OnTheHost place;
  expect_inside([&]() -> std::string {
    for (const seccomp::AllowedNode& node : seccomp::kAllowedNodes) {
      const std::string path = place.at("own/node");
      const dev_t asked_for = makedev(node.asked_for >> 8, node.asked_for & 0xff);
      CHECK_INSIDE(make(path, S_IFCHR | 0600, asked_for));
      CHECK_INSIDE(expect_node(path, S_IFCHR | 0600, makedev(node.made >> 8, node.made & 0xff)));
      CHECK_INSIDE(expect_success("unlink", ::unlink(path.c_str())));
      CHECK_INSIDE(expect_refusal(path, S_IFBLK | 0600, asked_for));
    }
    for (const dev_t device :
         {makedev(1, 1), makedev(1, 2), makedev(8, 0), makedev(10, 237), makedev(1, 0x103)}) {
      CHECK_INSIDE(expect_refusal(place.at("own/other"), S_IFCHR | 0600, device));
      CHECK_INSIDE(expect_refusal(place.at("own/other"), S_IFBLK | 0600, device));
    }
    CHECK_INSIDE(make(place.at("own/whiteout"), S_IFCHR, 0));
    CHECK_INSIDE(make(place.at("own/fifo"), S_IFIFO | 0600, makedev(1, 3)));
    return "";
  });
}

TEST(MadeNode, GoesWhereTheCallersPathsLead) {
  REQUIRE_CONTAINERS();
  const OnTheHost place;
  expect_inside([&]() -> std::string {
    const dev_t null = makedev(1, 3);
    CHECK_INSIDE(expect_success("chdir", ::chdir(place.at("own").c_str())));
    CHECK_INSIDE(make("relative", S_IFCHR | 0600, null));
    CHECK_INSIDE(expect_node(place.at("own/relative"), S_IFCHR | 0600, null));
    CHECK_INSIDE(expect_success("mkdir", ::mkdir("below", 0755)));
    const int below = ::open("below", O_PATH | O_DIRECTORY);
    CHECK_INSIDE(expect_success("mknodat", ::mknodat(below, "node", S_IFCHR | 0600, null)));
    CHECK_INSIDE(expect_node("below/node", S_IFCHR | 0600, null));
    CHECK_INSIDE(expect_errno("bad descriptor", ::mknodat(99, "n", S_IFCHR, null), EBADF));
    CHECK_INSIDE(expect_success("symlink", ::symlink("nowhere", "link")));
    CHECK_INSIDE(expect_refusal("link", S_IFCHR | 0600, null, EEXIST));
    CHECK_INSIDE(expect_refusal("missing/node", S_IFCHR | 0600, null, ENOENT));
    CHECK_INSIDE(expect_refusal("relative/node", S_IFCHR | 0600, null, ENOTDIR));
    // Another root directory, and a thread that shares neither it nor the working directory.
    CHECK_INSIDE(expect_success("mkdir", ::mkdir("jail", 0755)));
    std::string outcome;
    std::thread([&] {
      outcome = [&]() -> std::string {
        CHECK_INSIDE(expect_success("unshare", ::unshare(CLONE_FS)));
        CHECK_INSIDE(expect_success("chroot", ::chroot("jail")));
        CHECK_INSIDE(make("/node", S_IFCHR | 0600, null));
        return "";
      }();
    }).join();
    CHECK_INSIDE(outcome);
    return expect_node("jail/node", S_IFCHR | 0600, null);
  });
}

TEST(MadeNode, IsRefusedWhereItCouldNotBeOpened) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(expect_refusal("node", S_IFCHR | 0666, makedev(1, 3)));
    CHECK_THAT(::access("node", F_OK) != 0);
    return "";
  });
}

TEST(MadeNode, NeedsWhatMknodNeeds) {
  REQUIRE_CONTAINERS();
  const OnTheHost place;
  expect_inside([&]() -> std::string {
    const dev_t null = makedev(1, 3);
    // A directory of the host's: root inside is nobody there.
    CHECK_INSIDE(expect_refusal(place.at("host/node"), S_IFCHR | 0600, null, EACCES));
    // One of another user's of the container: root may.
    CHECK_INSIDE(expect_success("mkdir", ::mkdir(place.at("own/user").c_str(), 0700)));
    CHECK_INSIDE(expect_success("chown", ::chown(place.at("own/user").c_str(), 1000, 1000)));
    CHECK_INSIDE(make(place.at("own/user/node"), S_IFCHR | 0600, null));
    CHECK_INSIDE(as_user(1000, [&]() -> std::string {
      return expect_refusal(place.at("own/user/other"), S_IFCHR | 0600, null);
    }));
    // Root of a user namespace made inside: as on a machine.
    return expect_shell("unshare --user --map-root-user sh -c '! mknod " + place.at("own/nested") +
                        " c 1 3 2>/dev/null'");
  });
}

TEST(Sysinfo, IsTheContainers) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    struct sysinfo seen {};
    CHECK_INSIDE(expect_success("sysinfo", ::sysinfo(&seen)));
    CHECK_THAT(seen.uptime == 77 && seen.loads[0] == 65536 && seen.loads[2] == 3);
    CHECK_THAT(seen.totalram == 8ULL << 30U && seen.freeram == 5ULL << 30U && seen.mem_unit == 1);
    CHECK_THAT(seen.sharedram == 4096 && seen.totalswap == 1U << 20U && seen.freeswap == 4096);
    CHECK_THAT(seen.procs == 0xffff);  // as many as fit
    return as_user(1000, []() -> std::string {
      struct sysinfo theirs {};
      CHECK_INSIDE(expect_success("sysinfo", ::sysinfo(&theirs)));
      CHECK_THAT(theirs.uptime == 77);
      return "";
    });
  });
}

TEST(Sysinfo, FaultsAsTheKernelDoes) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    void* const read_only = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (void* const address : {static_cast<void*>(nullptr), read_only}) {
      CHECK_INSIDE(
          expect_errno("sysinfo", ::sysinfo(static_cast<struct sysinfo*>(address)), EFAULT));
    }
    return "";
  });
}

TEST(Sysinfo, FitsInto32Bits) {
  const std::string bytes = seccomp::sysinfo_for_32_bit(kSystemInformation);
  const auto number = [&bytes](std::size_t offset) {
    std::uint32_t value = 0;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
  };
  EXPECT_EQ(number(0), 77U);
  EXPECT_EQ(number(4), 65536U);
  EXPECT_EQ(number(16), (8ULL << 30U) / 4096);
  EXPECT_EQ(number(36), 1U);       // freeswap, in pages
  EXPECT_EQ(number(40), 0xffffU);  // procs and its padding
  EXPECT_EQ(number(52), 4096U);    // mem_unit
  seccomp::SystemInformation small = kSystemInformation;
  small.total_bytes = 1U << 30U;
  const std::string in_bytes = seccomp::sysinfo_for_32_bit(small);
  EXPECT_EQ(in_bytes.size(), 64U);
  std::uint32_t unit = 0;
  std::memcpy(&unit, in_bytes.data() + 52, sizeof unit);
  EXPECT_EQ(unit, 1U);
}

std::string mask_of(std::initializer_list<unsigned> cpus) {
  std::string mask(8, '\0');
  for (const unsigned cpu : cpus) mask[cpu / 8] = static_cast<char>(mask[cpu / 8] | 1 << cpu % 8);
  return mask;
}
std::string trimmed(std::string mask, std::size_t count, std::size_t start) {
  seccomp::trim_cpu_mask(mask, count, start);
  return mask;
}

TEST(CpuMask, IsTrimmedToACount) {
  const std::string four = mask_of({4, 5, 6, 17});
  EXPECT_EQ(trimmed(four, 2, 0), mask_of({4, 5}));
  EXPECT_EQ(trimmed(four, 2, 3), mask_of({4, 17}));
  EXPECT_EQ(trimmed(four, 3, 401), mask_of({5, 6, 17}));
  EXPECT_EQ(trimmed(four, 4, 1), four);
  EXPECT_EQ(trimmed(four, 9, 1), four);
  EXPECT_EQ(trimmed(four, 0, 1), four);
}

TEST(SchedGetaffinity, CountsTheContainersCpus) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    cpu_set_t seen;
    CPU_ZERO(&seen);
    CHECK_INSIDE(expect_success("getaffinity", ::sched_getaffinity(0, sizeof seen, &seen)));
    CHECK_THAT(CPU_COUNT(&seen) == 1);
    CHECK_INSIDE(expect_success("setaffinity", ::sched_setaffinity(0, sizeof seen, &seen)));
    // Docker asks for the first thread of its process, from any thread.
    int count = 0;
    std::thread([&seen, &count] {
      CPU_ZERO(&seen);
      if (::sched_getaffinity(::getpid(), sizeof seen, &seen) == 0) count = CPU_COUNT(&seen);
    }).join();
    CHECK_THAT(count == 1);
    CHECK_INSIDE(expect_errno("no such", ::sched_getaffinity(999999, sizeof seen, &seen), ESRCH));
    const auto raw = [](unsigned length, void* mask) {
      return ::syscall(SYS_sched_getaffinity, 0, length, mask);
    };
    CHECK_INSIDE(expect_errno("odd length", raw(9, &seen), EINVAL));
    CHECK_INSIDE(expect_errno("no length", raw(0, &seen), EINVAL));
    CHECK_INSIDE(expect_errno("no memory", raw(sizeof seen, nullptr), EFAULT));
    CHECK_THAT(raw(sizeof seen, &seen) > 0 && raw(sizeof seen, &seen) % 8 == 0);
    return "";
  });
}

}  // namespace
}  // namespace sysbox::testing

#include "fs-emulator/uts_name.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "common/syscalls.h"
#include "tests/unit/fs-emulator/daemon_fixture.h"

namespace sysbox::fs {
namespace {

ino_t own_user_namespace() { return sys::fstatat(AT_FDCWD, "/proc/self/ns/user").value().st_ino; }

// A thread in a UTS namespace of its own: the names are read and written for it from outside.
class UtsNames : public ::testing::Test {
 protected:
  void SetUp() override {
    const Result<void> unshared = sys::unshare(CLONE_NEWUTS);
    if (!unshared.ok()) GTEST_SKIP() << "needs root: " << unshared.error().message();
  }
  // Each test has a thread to itself, so that its namespace goes with it.
  template <typename Test>
  void in_own_thread(Test test) {
    std::thread(test).join();
  }

  const RootDir proc_ = RootDir::open("/proc").value();
};

TEST_F(UtsNames, AreThoseOfTheProcessThatAsks) {
  const int here = ::gettid();
  ASSERT_EQ(::sethostname("here", 4), 0);
  in_own_thread([&] {
    ASSERT_TRUE(sys::unshare(CLONE_NEWUTS).ok());
    ASSERT_EQ(::sethostname("there", 5), 0);
    EXPECT_EQ(read_uts_name(proc_, UtsName::kHost, here).value_or("error"), "here\n");
    EXPECT_EQ(read_uts_name(proc_, UtsName::kHost, ::gettid()).value_or("error"), "there\n");
    EXPECT_EQ(sys::read_file("/proc/sys/kernel/hostname").value_or("error"), "there\n")
        << "the thread is where it was";
  });
}

TEST_F(UtsNames, AreWrittenAsTheKernelWritesThem) {
  const int here = ::gettid();
  const std::string longest(64, 'x');
  const std::pair<std::string, std::string> cases[] = {
      {"one\n", "one\n"},
      {"two", "two\n"},
      {"three\nmore\n", "three\n"},
      {longest + "yz\n", longest + "\n"},
      {"\n", "\n"},
  };
  for (const UtsName which : {UtsName::kHost, UtsName::kDomain}) {
    const std::string file =
        join("/proc/sys/kernel/", which == UtsName::kHost ? "host" : "domain", "name");
    for (const auto& [written, expected] : cases) {
      ASSERT_TRUE(sys::write_file(file, "before\n").ok());
      ASSERT_TRUE(sys::write_file(file, written).ok());
      EXPECT_EQ(sys::read_file(file).value_or("error"), expected) << "the kernel: " << written;
      ASSERT_TRUE(sys::write_file(file, "before\n").ok());
      const Result<void> done = write_uts_name(proc_, which, here, own_user_namespace(), written);
      ASSERT_TRUE(done.ok()) << done.error().message();
      EXPECT_EQ(sys::read_file(file).value_or("error"), expected) << written;
      EXPECT_EQ(read_uts_name(proc_, which, here).value_or("error"), expected);
    }
  }
}

TEST_F(UtsNames, OfANamespaceThatIsNotTheContainersAreLeftAlone) {
  ASSERT_EQ(::sethostname("before", 6), 0);
  const Result<void> done = write_uts_name(proc_, UtsName::kHost, ::gettid(), 1, "after\n");
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code(), EPERM);
  EXPECT_EQ(read_uts_name(proc_, UtsName::kHost, ::gettid()).value_or("error"), "before\n");
}

class PolledUtsName : public UtsNames, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    REQUIRE_FUSE();
    UtsNames::SetUp();
  }
  static short events_within(int fd, int milliseconds) {
    struct pollfd state {
      fd, POLLPRI, 0
    };
    return ::poll(&state, 1, milliseconds) == 1 ? state.revents : short{0};
  }
  // Names may be given elsewhere on the machine, too.
  static bool comes_to_rest(int fd) {
    for (int i = 0; i < 1000; ++i) {
      if (events_within(fd, 0) == 0) return true;
    }
    return false;
  }
  static void write_name(const char* name) {
    ASSERT_TRUE(sys::write_file(join("/proc/sys/kernel/", GetParam()), name).ok());
  }
  static constexpr int kLong = 15000;  // milliseconds
};

// Side by side with the kernel's own file, which the daemon listens to.
TEST_P(PolledUtsName, IsToldOfChangesAsTheKernelTells) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box", {}));
  const UniqueFd emulated =
      sys::openat(box.root(), join("proc:sys:kernel:", GetParam()), O_RDONLY).value();
  const UniqueFd own = sys::open(join("/proc/sys/kernel/", GetParam()), O_RDONLY).value();
  EXPECT_TRUE(comes_to_rest(own.get()));
  EXPECT_TRUE(comes_to_rest(emulated.get()));
  for (const char* name : {"first", "second"}) {
    std::thread later([&] {
      ::usleep(50 * 1000);
      write_name(name);
    });
    EXPECT_EQ(events_within(emulated.get(), kLong), POLLPRI | POLLERR) << name;
    later.join();
    EXPECT_EQ(events_within(own.get(), kLong), POLLPRI | POLLERR) << name;
    EXPECT_TRUE(comes_to_rest(own.get())) << "told once";
    EXPECT_TRUE(comes_to_rest(emulated.get())) << "told once";
  }
}
INSTANTIATE_TEST_SUITE_P(, PolledUtsName, ::testing::Values("hostname", "domainname"));

}  // namespace
}  // namespace sysbox::fs

#include "fs-emulator/background_work.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <thread>

#include "common/syscalls.h"

namespace sysbox::testing {
namespace {

using fs::BackgroundWork;

TEST(BackgroundWork, IsDoneInOrder) {
  std::string done;
  for (const char* what : {"a", "b", "c"}) {
    EXPECT_TRUE(BackgroundWork::instance().add([&done, what]() -> Result<void> {
      done += what;
      return {};
    }));
  }
  BackgroundWork::instance().finish();
  EXPECT_EQ(done, "abc");
}

TEST(BackgroundWork, GoesOnAfterAThreadThatCannot) {
  std::atomic<int> done = 0;
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(BackgroundWork::instance().add([&done]() -> Result<void> {
      ++done;
      return errno_error(ENOTRECOVERABLE, "test: not at home");
    }));
    BackgroundWork::instance().finish();
  }
  EXPECT_EQ(done, 3);
}

TEST(BackgroundWork, RefusesMoreThanIsUseful) {
  std::promise<void> gate;
  std::shared_future<void> opened = gate.get_future().share();
  const auto wait = [opened]() -> Result<void> {
    opened.wait();
    return {};
  };
  std::promise<void> begun;
  ASSERT_TRUE(BackgroundWork::instance().add([&begun, wait]() -> Result<void> {
    begun.set_value();
    return wait();
  }));
  begun.get_future().wait();  // so that nothing leaves the queue any more
  int taken = 0;
  while (taken < 1000 && BackgroundWork::instance().add(wait)) ++taken;
  EXPECT_LT(taken, 1000);
  UniqueFd file = sys::open("/dev/null", O_RDONLY).value();
  const int number = file.get();
  BackgroundWork::instance().close(std::move(file));
  EXPECT_LT(::fcntl(number, F_GETFD), 0);
  gate.set_value();
  BackgroundWork::instance().finish();
  EXPECT_TRUE(BackgroundWork::instance().add(wait));
  BackgroundWork::instance().finish();
}

// Its thread shares nothing with the one that had it started: the kernel lets only such a one
// change its mount namespace.
TEST(BackgroundWork, LeavesItsStarterFreeToTravel) {
  const Result<UniqueFd> home = sys::open("/proc/self/ns/mnt", O_RDONLY);
  ASSERT_TRUE(home.ok());
  if (::geteuid() != 0) GTEST_SKIP() << "not root";
  std::thread([&home] {
    ASSERT_TRUE(sys::unshare(CLONE_FS).ok());
    for (int i = 0; i < 20; ++i) {
      // Ends the thread, so that each time there is a new one.
      ASSERT_TRUE(BackgroundWork::instance().add(
          []() -> Result<void> { return errno_error(ENOTRECOVERABLE, "test: not at home"); }));
      ASSERT_TRUE(sys::setns(home.value().get(), CLONE_NEWNS).ok());
      BackgroundWork::instance().finish();
    }
  }).join();
}

}  // namespace
}  // namespace sysbox::testing

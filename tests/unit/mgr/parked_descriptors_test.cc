#include "mgr/parked_descriptors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "child_process.h"
#include "common/syscalls.h"
#include "scratch_directory.h"

namespace sysbox::mgr {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

// The end of a pipe that tells when all copies of the other end are gone.
struct Tether {
  UniqueFd watched;
  UniqueFd given;

  Tether() {
    auto [reader, writer] = sys::pipe().value();
    watched = std::move(reader);
    given = std::move(writer);
  }
  bool is_cut(std::chrono::milliseconds timeout) const {
    return sys::wait_for(watched.get(), 0, after(timeout)).ok();  // POLLHUP
  }
};

std::vector<NamedDescriptor> one(const std::string& name, UniqueFd fd) {
  std::vector<NamedDescriptor> descriptors;
  descriptors.push_back({name, std::move(fd)});
  return descriptors;
}

UniqueFd pidfd_of(pid_t pid) { return sys::pidfd_open(pid).value(); }

TEST(ParkedDescriptors, CopiesAreOfTheSameFile) {
  const auto parked = ParkedDescriptors::start(1h).value();
  Tether first;
  Tether second;
  const ino_t inode = sys::fstat(second.given.get()).value().st_ino;
  ASSERT_TRUE(parked->park("box", one("fuse", std::move(first.given))).ok());
  EXPECT_FALSE(first.is_cut(0ms));
  // What has the name already is let go.
  ASSERT_TRUE(parked->park("box", one("fuse", std::move(second.given))).ok());
  EXPECT_TRUE(first.is_cut(0ms));
  const auto copies = parked->copies_of("box").value();
  ASSERT_EQ(copies.size(), 1U);
  EXPECT_EQ(copies[0].name, "fuse");
  EXPECT_EQ(sys::fstat(copies[0].fd.get()).value().st_ino, inode);
  EXPECT_EQ(parked->copies_of("other").error().code(), ENOENT);
}

TEST(ParkedDescriptors, LettingGoClosesAll) {
  const auto parked = ParkedDescriptors::start(1h).value();
  Tether tether;
  ASSERT_TRUE(parked->park("box", one("fuse", std::move(tether.given))).ok());
  parked->let_go("other");
  EXPECT_FALSE(tether.is_cut(0ms));
  parked->let_go("box");
  EXPECT_TRUE(tether.is_cut(0ms));
  EXPECT_EQ(parked->size(), 0U);
}

TEST(ParkedDescriptors, OnlyTheSuccessorOfADeadOneAttends) {
  const auto parked = ParkedDescriptors::start(1h).value();
  ChildProcess first({"sleep", "60"});
  ASSERT_TRUE(parked->attend(pidfd_of(first.pid())).ok());
  Tether tether;
  ASSERT_TRUE(parked->park("box", one("fuse", std::move(tether.given))).ok());
  EXPECT_EQ(parked->attend(pidfd_of(::getpid())).error().code(), EBUSY);
  // The same one again, as after a restart of this daemon that it took for one.
  EXPECT_THAT(parked->attend(pidfd_of(first.pid())).value(), ElementsAre("box"));
  first.stop(SIGKILL);
  EXPECT_THAT(parked->attend(pidfd_of(::getpid())).value(), ElementsAre("box"));
  EXPECT_FALSE(tether.is_cut(0ms));
}

TEST(ParkedDescriptors, WhoAttendsHasToBeAProcess) {
  const auto parked = ParkedDescriptors::start(1h).value();
  EXPECT_EQ(parked->attend(std::move(Tether().given)).error().code(), EBADF);
}

TEST(ParkedDescriptors, EverythingIsLetGoIfNobodyComesBack) {
  const auto parked = ParkedDescriptors::start(300ms).value();
  ChildProcess attendant({"sleep", "60"});
  ASSERT_TRUE(parked->attend(pidfd_of(attendant.pid())).ok());
  Tether tether;
  ASSERT_TRUE(parked->park("box", one("fuse", std::move(tether.given))).ok());
  EXPECT_FALSE(tether.is_cut(600ms)) << "while it lives";
  attendant.stop(SIGKILL);
  EXPECT_FALSE(tether.is_cut(100ms));
  EXPECT_TRUE(tether.is_cut(5s));
}

TEST(ParkedDescriptors, WhoComesBackInTimeFindsEverything) {
  const auto parked = ParkedDescriptors::start(500ms).value();
  ChildProcess attendant({"sleep", "60"});
  ASSERT_TRUE(parked->attend(pidfd_of(attendant.pid())).ok());
  Tether tether;
  ASSERT_TRUE(parked->park("box", one("fuse", std::move(tether.given))).ok());
  attendant.stop(SIGKILL);
  ASSERT_TRUE(parked->attend(pidfd_of(::getpid())).ok());
  EXPECT_FALSE(tether.is_cut(1s));
}

TEST(ParkedDescriptors, AListenerThatEndsIsLetGo) {
  const auto parked = ParkedDescriptors::start(1h).value();
  // The other end's last close is what the last filter user's end is to a listener.
  auto [reader, writer] = sys::pipe().value();
  ASSERT_TRUE(parked->park("box", one("listener-1", std::move(reader))).ok());
  Tether other;
  ASSERT_TRUE(parked->park("box", one("fuse", std::move(other.given))).ok());
  EXPECT_EQ(parked->size(), 2U);
  writer.reset();
  EXPECT_TRUE(eventually([&] { return parked->size() == 1; }));
  EXPECT_FALSE(other.is_cut(0ms));
}

TEST(ParkedDescriptors, OneOwnerCannotTakeAllThereIs) {
  const auto parked = ParkedDescriptors::start(1h).value();
  Tether tether;
  int refused = 0;
  for (int i = 0; i < 1000 && refused == 0; ++i) {
    UniqueFd copy = sys::duplicate(tether.given.get()).value();
    const Result<void> done = parked->park("box", one(join("x", i), std::move(copy)));
    if (!done.ok()) refused = done.error().code();
  }
  EXPECT_EQ(refused, E2BIG);
  EXPECT_EQ(parked->size(), kMaxParkedOfOne);
  EXPECT_TRUE(parked->park("other", one("fuse", std::move(tether.given))).ok());
}

}  // namespace
}  // namespace sysbox::mgr

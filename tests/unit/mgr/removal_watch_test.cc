#include "mgr/removal_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include "scratch_directory.h"

namespace sysbox::mgr {
namespace {

using ::testing::ElementsAre;

class Watching : public ::testing::Test {
 protected:
  Watching()
      : watch_(RemovalWatch::start([this](const std::string& id) {
                 const std::lock_guard lock(mutex_);
                 reported_.insert(id);
               }).value()) {}

  std::set<std::string> reported() {
    const std::lock_guard lock(mutex_);
    return reported_;
  }
  bool is_reported(const std::string& id) {
    return eventually([&] { return reported().contains(id); });
  }

  ScratchDirectory scratch_;
  std::mutex mutex_;
  std::set<std::string> reported_;
  std::unique_ptr<RemovalWatch> watch_;  // last: its thread uses the rest
};

TEST_F(Watching, ReportsDeletion) {
  ASSERT_TRUE(watch_->watch("a", scratch_.make_directory("a")).ok());
  ASSERT_TRUE(watch_->watch("b", scratch_.make_directory("b")).ok());
  std::filesystem::remove(scratch_ / "a");
  EXPECT_TRUE(is_reported("a"));
  EXPECT_THAT(reported(), ElementsAre("a"));
}

TEST_F(Watching, ReportsRenameAndTheEndOfTheWholeDirectory) {
  ASSERT_TRUE(watch_->watch("a", scratch_.make_directory("one/a")).ok());
  ASSERT_TRUE(watch_->watch("b", scratch_.make_directory("two/b")).ok());
  std::filesystem::rename(scratch_ / "one/a", scratch_ / "one/a-removing");
  EXPECT_TRUE(is_reported("a"));
  std::filesystem::remove_all(scratch_ / "two");
  EXPECT_TRUE(is_reported("b"));
}

TEST_F(Watching, ReportsADirectoryThatIsMovedAway) {
  ASSERT_TRUE(watch_->watch("a", scratch_.make_directory("one/a")).ok());
  std::filesystem::rename(scratch_ / "one", scratch_ / "other");
  EXPECT_TRUE(is_reported("a"));
}

TEST_F(Watching, ForgottenPathsAreNotReported) {
  ASSERT_TRUE(watch_->watch("a", scratch_.make_directory("a")).ok());
  ASSERT_TRUE(watch_->watch("b", scratch_.make_directory("b")).ok());
  watch_->forget("a");
  std::filesystem::remove(scratch_ / "a");
  std::filesystem::remove(scratch_ / "b");
  EXPECT_TRUE(is_reported("b"));
  EXPECT_THAT(reported(), ElementsAre("b"));
}

TEST_F(Watching, AnotherPathReplacesTheFirst) {
  ASSERT_TRUE(watch_->watch("a", scratch_.make_directory("one")).ok());
  ASSERT_TRUE(watch_->watch("a", scratch_.make_directory("two")).ok());
  ASSERT_TRUE(watch_->watch("b", scratch_.make_directory("three")).ok());
  std::filesystem::remove(scratch_ / "one");
  std::filesystem::remove(scratch_ / "three");
  EXPECT_TRUE(is_reported("b"));
  EXPECT_THAT(reported(), ElementsAre("b"));
  std::filesystem::remove(scratch_ / "two");
  EXPECT_TRUE(is_reported("a"));
}

TEST_F(Watching, ADirectoryMadeAgainCanBeWatchedAtOnce) {
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(watch_->watch("a", scratch_.make_directory("one/a")).ok());
    std::filesystem::remove_all(scratch_ / "one");
  }
  const std::string path = scratch_.make_directory("one/a");
  ASSERT_TRUE(watch_->watch("a", path).ok());
  ASSERT_TRUE(watch_->watch("end", scratch_.make_directory("end")).ok());
  // Events come in order: the old ones have been dealt with when this one has.
  std::filesystem::remove(scratch_ / "end");
  ASSERT_TRUE(is_reported("end"));
  {
    const std::lock_guard lock(mutex_);
    reported_.clear();
  }
  std::filesystem::remove(path);
  EXPECT_TRUE(is_reported("a"));
}

TEST_F(Watching, UnmountingTheDirectoryIsReported) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount";
  const std::string disk = scratch_.make_directory("disk");
  if (::mount("none", disk.c_str(), "tmpfs", 0, nullptr) != 0) GTEST_SKIP() << "cannot mount tmpfs";
  ASSERT_TRUE(watch_->watch("a", scratch_.make_directory("disk/a")).ok());
  ASSERT_EQ(::umount2(disk.c_str(), 0), 0);
  EXPECT_TRUE(is_reported("a"));
}

TEST_F(Watching, AMissingDirectoryIsAnError) {
  const Result<void> watched = watch_->watch("a", scratch_ / "nowhere/a");
  ASSERT_FALSE(watched.ok());
  EXPECT_EQ(watched.error().code(), ENOENT);
}

std::set<std::string> tasks() {
  std::set<std::string> ids;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    ids.insert(task.path());
  }
  return ids;
}

// How often a thread went to sleep.
std::string sleeps_of(const std::string& task) {
  const std::string status = contents_of(task + "/status");
  const std::size_t line = status.find("\nvoluntary_ctxt_switches:");
  return status.substr(line, status.find('\n', line + 1) - line);
}

TEST_F(Watching, SleepsWhenNothingHappens) {
  const std::set<std::string> others = tasks();
  const auto idle = RemovalWatch::start([](const std::string&) {}).value();
  ASSERT_TRUE(idle->watch("a", scratch_.make_directory("a")).ok());
  std::set<std::string> all = tasks();
  std::erase_if(all, [&others](const std::string& task) { return others.contains(task); });
  ASSERT_EQ(all.size(), 1U);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const std::string before = sleeps_of(*all.begin());
  ASSERT_THAT(before, ::testing::HasSubstr("voluntary"));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(sleeps_of(*all.begin()), before);
}

}  // namespace
}  // namespace sysbox::mgr

#include "mgr/lifeline.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "scratch_directory.h"

namespace sysbox::mgr {
namespace {

TEST(Lifeline, IsPresentUntilThePathIsGone) {
  const ScratchDirectory scratch;
  const std::string path = scratch.make_directory("parent/life");
  const Lifeline lifeline = look_at_lifeline(path).value();
  EXPECT_EQ(state_of(lifeline), LifelineState::kPresent);
  std::filesystem::remove(path);
  EXPECT_EQ(state_of(lifeline), LifelineState::kGone);
  std::filesystem::remove(scratch / "parent");
  EXPECT_EQ(state_of(lifeline), LifelineState::kGone);
}

TEST(Lifeline, AMissingPathCannotBeRecorded) {
  const Result<Lifeline> lifeline = look_at_lifeline("/nowhere/at/all");
  ASSERT_FALSE(lifeline.ok());
  EXPECT_EQ(lifeline.error().code(), ENOENT);
}

TEST(Lifeline, AFileSystemThatIsNotMountedIsNotTheEnd) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount";
  const ScratchDirectory scratch;
  const std::string disk = scratch.make_directory("disk");
  if (::mount("none", disk.c_str(), "tmpfs", 0, nullptr) != 0) GTEST_SKIP() << "cannot mount tmpfs";
  const std::string path = scratch.make_directory("disk/overlay/life");
  const Lifeline lifeline = look_at_lifeline(path).value();
  ASSERT_EQ(::umount2(disk.c_str(), MNT_DETACH), 0);
  EXPECT_EQ(state_of(lifeline), LifelineState::kUnknown);
}

TEST(Lifeline, AnotherDirectoryAtTheSamePathIsAnother) {
  const ScratchDirectory scratch;
  const std::string path = scratch.make_directory("life");
  const Lifeline then = look_at_lifeline(path).value();
  EXPECT_TRUE(is_same_lifeline(then, look_at_lifeline(path).value()));
  std::filesystem::remove(path);
  scratch.make_directory("in-between");
  scratch.make_directory("life");
  EXPECT_FALSE(is_same_lifeline(then, look_at_lifeline(path).value()));
}

TEST(Lifeline, ADeviceNumberCountsOnlyWithoutATimeOfBirth) {
  const Lifeline then{"/a", 8, 100, 55, 1};
  EXPECT_TRUE(is_same_lifeline(then, {"/a", 9, 100, 55, 2}));
  EXPECT_FALSE(is_same_lifeline(then, {"/a", 8, 100, 56, 1}));
  EXPECT_FALSE(is_same_lifeline(then, {"/a", 8, 101, 55, 1}));
  EXPECT_FALSE(is_same_lifeline(then, {"/b", 8, 100, 55, 1}));
  EXPECT_FALSE(is_same_lifeline({"/a", 8, 100, 0, 1}, {"/a", 9, 100, 0, 1}));
  EXPECT_TRUE(is_same_lifeline({"/a", 8, 100, 0, 1}, {"/a", 8, 100, 0, 1}));
}

TEST(Lifeline, SurvivesTheTripThroughJson) {
  const Lifeline lifeline{"/a", ~std::uint64_t{0}, 100, 55, ~std::uint64_t{0} - 1, -7};
  EXPECT_EQ(parse_lifeline(to_json(lifeline), "").value(), lifeline);
  EXPECT_FALSE(parse_lifeline({{"path", "/a"}}, "lifeline").ok());
}

TEST(Lifeline, SplitsPathsByComponent) {
  EXPECT_EQ(parent_path("/a/b"), "/a");
  EXPECT_EQ(parent_path("/a/b/"), "/a");
  EXPECT_EQ(parent_path("/a"), "/");
  EXPECT_EQ(parent_path("/"), "/");
  EXPECT_EQ(last_component("/a/b/"), "b");
}

}  // namespace
}  // namespace sysbox::mgr

#include "common/root_dir.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace sysbox {
namespace {

class RootDirTest : public testing::Test {
 protected:
  RootDirTest() {
    std::string pattern = "/tmp/root_dir_test.XXXXXX";
    path_ = ::mkdtemp(pattern.data());
    std::filesystem::create_directories(path_ / "root/etc");
    std::ofstream(path_ / "secret") << "host";
    std::ofstream(path_ / "root/etc/name") << "inside";
  }
  ~RootDirTest() override { std::filesystem::remove_all(path_); }

  RootDir root() const { return RootDir::open(path_ / "root").value(); }
  void link(const std::string& target, const std::string& name) const {
    std::filesystem::create_symlink(target, path_ / "root" / name);
  }

  std::filesystem::path path_;
};
using RootDirectory = RootDirTest;

TEST_F(RootDirectory, AbsoluteSymlinkStaysInside) {
  link("/etc/name", "link");
  EXPECT_EQ(root().read_file("/link").value(), "inside");
}

TEST_F(RootDirectory, DotDotStopsAtTheRoot) {
  link("../../../../secret", "link");
  EXPECT_FALSE(root().read_file("/link").ok());
  EXPECT_FALSE(root().read_file("../secret").ok());
  EXPECT_EQ(root().read_file("/../../etc/name").value(), "inside");
}

TEST_F(RootDirectory, MagicLinksAreRefused) {
  const RootDir proc = RootDir::open("/proc").value();
  EXPECT_EQ(proc.open_inside("self/cwd", O_PATH).error().code(), ELOOP);
}

TEST_F(RootDirectory, MissingDirectoriesAreMadeBehindALinkInside) {
  link("/etc", "alias");
  ASSERT_TRUE(root().make_directories("/alias/a/b").ok());
  EXPECT_TRUE(std::filesystem::is_directory(path_ / "root/etc/a/b"));
}

TEST_F(RootDirectory, NothingIsMadeOutsideByADanglingLink) {
  link("../../outside", "dangling");
  const Result<UniqueFd> made = root().make_directories("/dangling/x");
  EXPECT_FALSE(std::filesystem::exists(path_ / "outside"));
  EXPECT_FALSE(made.ok());
}

TEST_F(RootDirectory, AFileIsMadeWithItsParents) {
  ASSERT_TRUE(root().make_file("/run/x/y").ok());
  EXPECT_TRUE(std::filesystem::is_regular_file(path_ / "root/run/x/y"));
  EXPECT_TRUE(root().make_file("/etc/name").ok());
  EXPECT_EQ(root().read_file("/etc/name").value(), "inside");
}

TEST_F(RootDirectory, ExistsTellsMissingFromBroken) {
  EXPECT_TRUE(root().exists("/etc").value());
  EXPECT_FALSE(root().exists("/none").value());
  EXPECT_FALSE(root().exists("/etc/name/below").value());
  link("loop", "loop");
  EXPECT_FALSE(root().exists("/loop").ok());
}

TEST(CleanPath, DropsDotsAndDoubleSlashes) {
  EXPECT_EQ(clean_path("/a//./b/../c/"), "/a/c");
  EXPECT_EQ(clean_path("/../.."), "/");
  EXPECT_EQ(clean_path(""), "/");
}

TEST(IsSameOrBelow, ComparesByComponent) {
  EXPECT_TRUE(is_same_or_below("/a/b", "/a"));
  EXPECT_TRUE(is_same_or_below("/a", "/a"));
  EXPECT_FALSE(is_same_or_below("/ab", "/a"));
  EXPECT_TRUE(is_same_or_below("/a", "/"));
}

}  // namespace
}  // namespace sysbox

#include "common/root_dir.h"

#include <gtest/gtest.h>
#include <stdio.h>  // NOLINT(modernize-deprecated-headers): renameat2

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

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

TEST_F(RootDirectory, ADanglingLinkIsFollowedInside) {
  link("../../outside", "dangling");
  ASSERT_TRUE(root().make_directories("/dangling/x").ok());
  EXPECT_FALSE(std::filesystem::exists(path_ / "outside"));
  EXPECT_TRUE(std::filesystem::is_directory(path_ / "root/outside/x"));

  link("/tmp/foo/bar", "jump");
  link("/jump/baz/hosts", "etc/hosts");
  ASSERT_TRUE(root().make_file("/etc/hosts").ok());
  EXPECT_TRUE(std::filesystem::is_regular_file(path_ / "root/tmp/foo/bar/baz/hosts"));
}

TEST_F(RootDirectory, LinksInACircleAreRefused) {
  link("two", "one");
  link("one/below", "two");
  EXPECT_EQ(root().make_directories("/one/x").error().code(), ELOOP);
}

// CVE-2024-45310: between the look at a path and the making of its parts, a directory of it is
// exchanged for a link that leads out.
TEST_F(RootDirectory, NothingIsMadeOutsideWhileADirectoryIsExchangedForALink) {
  std::filesystem::create_directories(path_ / "outside");
  std::filesystem::create_directories(path_ / "root/a");
  link(path_ / "outside", "link");
  std::filesystem::create_directory_symlink("../outside", path_ / "root/relative");
  std::atomic<bool> stop = false;
  std::thread racer([&] {
    const UniqueFd directory = sys::open(path_ / "root", O_PATH).value();
    while (!stop) {
      for (const char* other : {"link", "relative"}) {
        ::renameat2(directory.get(), "a", directory.get(), other, RENAME_EXCHANGE);
        ::renameat2(directory.get(), "a", directory.get(), other, RENAME_EXCHANGE);
      }
    }
  });
  for (int i = 0; i < 3000; ++i) {
    static_cast<void>(root().make_directories("/a/b/c/" + std::to_string(i)).ok());
    static_cast<void>(root().make_file("/a/f" + std::to_string(i)).ok());
  }
  stop = true;
  racer.join();
  EXPECT_TRUE(std::filesystem::is_empty(path_ / "outside"));
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

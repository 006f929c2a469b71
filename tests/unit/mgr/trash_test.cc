#include "mgr/trash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include "common/directory_entries.h"
#include "common/syscalls.h"
#include "scratch_directory.h"

namespace sysbox::mgr {
namespace {

UniqueFd open_directory(const std::string& path) {
  return sys::open(path, O_RDONLY | O_DIRECTORY).value();
}

TEST(DirectoryEntries, KnowsAnEmptyDirectory) {
  const ScratchDirectory scratch;
  EXPECT_TRUE(is_empty_directory(open_directory(scratch.path()).get()).value());
  scratch.write("a", "");
  EXPECT_FALSE(is_empty_directory(open_directory(scratch.path()).get()).value());
}

TEST(DirectoryEntries, EndsWithTheFirstError) {
  const ScratchDirectory scratch;
  for (const char* name : {"a", "b", "c"}) scratch.write(name, "");
  int seen = 0;
  const Result<void> walked = for_each_entry(open_directory(scratch.path()).get(),
                                             [&seen](const struct dirent&) -> Result<void> {
                                               ++seen;
                                               return Error(EIO, "enough");
                                             });
  ASSERT_FALSE(walked.ok());
  EXPECT_EQ(walked.error().message(), "enough");
  EXPECT_EQ(seen, 1);
}

TEST(Trash, DeletesLinksAndNotWhatTheyLeadTo) {
  const ScratchDirectory scratch;
  scratch.make_directory("kept/inner");
  scratch.write("kept/file", "precious");
  scratch.make_directory("gone/a/b");
  std::filesystem::create_symlink(scratch / "kept", scratch / "gone/link");
  std::filesystem::create_symlink("../../../kept/file", scratch / "gone/a/b/file");
  scratch.write("gone/file", "x");
  const std::atomic<bool> stopping{false};
  ASSERT_TRUE(delete_contents(open_directory(scratch / "gone").get(), stopping).ok());
  EXPECT_TRUE(std::filesystem::is_empty(scratch / "gone"));
  EXPECT_EQ(contents_of(scratch / "kept/file"), "precious");
  EXPECT_TRUE(std::filesystem::exists(scratch / "kept/inner"));
}

TEST(Trash, DeletesATreeDeeperThanAnyPath) {
  const ScratchDirectory scratch;
  scratch.make_directory("gone");
  UniqueFd level = open_directory(scratch / "gone");
  for (int i = 0; i < 3000; ++i) {
    ASSERT_TRUE(sys::mkdirat(level.get(), "deeper", 0700).ok());
    level = sys::openat(level.get(), "deeper", O_RDONLY | O_DIRECTORY).value();
  }
  const std::atomic<bool> stopping{false};
  const Result<void> deleted = delete_contents(open_directory(scratch / "gone").get(), stopping);
  ASSERT_TRUE(deleted.ok()) << deleted.error().message();
  EXPECT_TRUE(std::filesystem::is_empty(scratch / "gone"));
}

TEST(Trash, NeverEntersAMount) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount";
  const ScratchDirectory scratch;
  scratch.make_directory("elsewhere");
  scratch.write("elsewhere/file", "precious");
  scratch.make_directory("gone/a/mounted");
  scratch.write("gone/other", "x");
  const std::string target = scratch / "gone/a/mounted";
  if (::mount((scratch / "elsewhere").c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    GTEST_SKIP() << "cannot make a bind mount";
  }
  const std::atomic<bool> stopping{false};
  const Result<void> deleted = delete_contents(open_directory(scratch / "gone").get(), stopping);
  ::umount2(target.c_str(), MNT_DETACH);
  EXPECT_FALSE(deleted.ok());
  EXPECT_EQ(contents_of(scratch / "elsewhere/file"), "precious");
  EXPECT_FALSE(std::filesystem::exists(scratch / "gone/other"));
}

TEST(Trash, FreesTheNameAtOnceAndDeletesByItself) {
  const ScratchDirectory scratch;
  scratch.make_directory("trash/left-by-a-crash");
  Trash trash(open_directory(scratch / "trash"));
  const UniqueFd parent = open_directory(scratch.path());
  for (int i = 0; i < 3; ++i) {
    scratch.make_directory("volumes/data");
    ASSERT_TRUE(trash.put(parent.get(), "volumes").ok());
    EXPECT_FALSE(std::filesystem::exists(scratch / "volumes"));
  }
  trash.wait_until_idle();
  EXPECT_TRUE(std::filesystem::is_empty(scratch / "trash"));
  const Result<void> missing = trash.put(parent.get(), "volumes");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code(), ENOENT);
}

}  // namespace
}  // namespace sysbox::mgr

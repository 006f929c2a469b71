#include "mgr/subid_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch_directory.h"

namespace sysbox::mgr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SubidFilesOnDisk : public ::testing::Test {
 protected:
  SubidFiles files(const std::string& uids, const std::string& gids,
                   const std::string& login_defs = "") const {
    return {"sysbox", scratch_.write("subuid", uids), scratch_.write("subgid", gids),
            scratch_.write("login.defs", login_defs)};
  }

  ScratchDirectory scratch_;
};

TEST(SubidFile, ReadsEntriesAndPassesOverAllElse) {
  EXPECT_THAT(
      parse_subid("# alice:1:2\n\nalice:100000:65536\nbad\nbob:x:1\n:1:2\ncarl:5\n"
                  "dora:200000:0\n1000:165536:65536"),
      ElementsAre(SubidEntry{"alice", {100000, 65536}}, SubidEntry{"1000", {165536, 65536}}));
}

TEST(SubidFile, CutsCountsThatGoPastTheLastId) {
  EXPECT_THAT(parse_subid("a:4294900000:99999999999\nb:4294967295:5\n"),
              ElementsAre(SubidEntry{"a", {4294900000U, 67295}}));
}

TEST(SubidFile, AddsALineAndKeepsTheRest) {
  const SubidEntry entry{"sysbox", {100000, 65536}};
  EXPECT_EQ(with_entry("# mine\na:1:2", entry), "# mine\na:1:2\nsysbox:100000:65536\n");
  EXPECT_EQ(with_entry("", entry), "sysbox:100000:65536\n");
}

TEST(SubidFile, TakesBoundsFromLoginDefs) {
  const IdBounds bounds = parse_login_defs(
      "# SUB_UID_MIN 1\nSUB_UID_MIN\t\t 200000\nSUB_GID_MIN 50\nSUB_UID_MAX 900000000\n"
      "SUB_GID_MAX 800000000\n");
  EXPECT_EQ(bounds.first, 200000U);
  EXPECT_EQ(bounds.last, 800000000U);
  EXPECT_EQ(parse_login_defs("").first, 100000U);
  EXPECT_EQ(parse_login_defs("SUB_UID_MIN 1000\n").first, 100000U);
}

TEST(SubidFile, FindsTheFirstHoleThatIsBigEnough) {
  const IdBounds bounds{100000, 999999};
  EXPECT_EQ(find_hole({}, bounds, 65536), (IdRange{100000, 65536}));
  EXPECT_EQ(find_hole({{100000, 65536}, {200000, 1000}}, bounds, 65536), (IdRange{201000, 65536}));
  EXPECT_EQ(find_hole({{50000, 60000}}, bounds, 65536), (IdRange{110000, 65536}));
}

TEST(SubidFile, ShrinksToTheLongestHole) {
  const IdBounds bounds{100000, 499999};
  EXPECT_EQ(find_hole({{200000, 10000}}, bounds, 10 * 65536), (IdRange{210000, 4 * 65536}));
  EXPECT_EQ(find_hole({{100000, 399000}}, bounds, 65536), std::nullopt);
}

TEST(SubidFile, PoolIsWhereBothFilesAgree) {
  const IdPool pool = usable_pool(
      "sysbox", {{"sysbox", {100000, 200000}}, {"sysbox", {300000, 100000}}, {"a", {900000, 5}}},
      {{"sysbox", {150000, 500000}}});
  EXPECT_THAT(pool.ranges, ElementsAre(IdRange{150000, 250000}));
  EXPECT_THAT(pool.warnings, IsEmpty());
}

TEST(SubidFile, PoolLeavesOutOtherUsersAndTheHostsOwn) {
  const IdPool pool = usable_pool("sysbox", {{"sysbox", {0, 400000}}, {"alice", {200000, 65536}}},
                                  {{"sysbox", {0, 400000}}, {"bob", {390000, 65536}}});
  EXPECT_THAT(pool.ranges, ElementsAre(IdRange{65536, 134464}, IdRange{265536, 124464}));
  EXPECT_THAT(pool.warnings,
              ElementsAre(HasSubstr("0 to 65535"), HasSubstr("'alice'"), HasSubstr("'bob'")));
}

TEST_F(SubidFilesOnDisk, EntryIsMadeInBothFilesApartFromAllOthers) {
  const SubidFiles used =
      files("# kept\nalice:100000:65536", "alice:100000:65536\nbob:165536:10\n");
  ASSERT_EQ(::chmod(used.uid_path.c_str(), 0640), 0);
  const Result<IdPool> pool = read_or_create_pool(used);
  ASSERT_TRUE(pool.ok()) << pool.error().message();
  EXPECT_THAT(pool.value().ranges, ElementsAre(IdRange{165546, 268435456}));
  EXPECT_EQ(contents_of(used.uid_path), "# kept\nalice:100000:65536\nsysbox:165546:268435456\n");
  EXPECT_EQ(contents_of(used.gid_path),
            "alice:100000:65536\nbob:165536:10\nsysbox:165546:268435456\n");
  struct stat info {};
  ASSERT_EQ(::stat(used.uid_path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0640U);
  EXPECT_FALSE(std::filesystem::exists(used.uid_path + ".lock"));
}

TEST_F(SubidFilesOnDisk, OwnerIsKept) {
  const SubidFiles used = files("", "");
  if (::chown(used.uid_path.c_str(), 12, 34) != 0) {
    GTEST_SKIP() << "needs root of the host to give a file away";
  }
  ASSERT_TRUE(read_or_create_pool(used).ok());
  struct stat info {};
  ASSERT_EQ(::stat(used.uid_path.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 12U);
  EXPECT_EQ(info.st_gid, 34U);
}

TEST_F(SubidFilesOnDisk, MissingFilesAreMade) {
  SubidFiles used = files("", "");
  std::filesystem::remove(used.uid_path);
  std::filesystem::remove(used.gid_path);
  std::filesystem::remove(used.login_defs_path);
  ASSERT_TRUE(read_or_create_pool(used).ok());
  EXPECT_EQ(contents_of(used.gid_path), "sysbox:100000:268435456\n");
}

TEST_F(SubidFilesOnDisk, ExistingEntriesAreLeftAlone) {
  const std::string text = "sysbox:200000:65536\nsysbox:400000:131072\n";
  const SubidFiles used = files(text, text);
  const Result<IdPool> pool = read_or_create_pool(used);
  ASSERT_TRUE(pool.ok());
  EXPECT_THAT(pool.value().ranges, ElementsAre(IdRange{200000, 65536}, IdRange{400000, 131072}));
  EXPECT_EQ(contents_of(used.uid_path), text);
}

TEST_F(SubidFilesOnDisk, EntryInOneFileIsCopiedToTheOther) {
  const SubidFiles used = files("sysbox:200000:65536\n", "alice:100000:65536\n");
  const Result<IdPool> pool = read_or_create_pool(used);
  ASSERT_TRUE(pool.ok());
  EXPECT_THAT(pool.value().ranges, ElementsAre(IdRange{200000, 65536}));
  EXPECT_EQ(contents_of(used.gid_path), "alice:100000:65536\nsysbox:200000:65536\n");
}

TEST_F(SubidFilesOnDisk, EntriesThatDoNotAgreeAreShown) {
  const Result<IdPool> pool =
      read_or_create_pool(files("sysbox:200000:65536\n", "sysbox:300000:65536\n"));
  ASSERT_FALSE(pool.ok());
  EXPECT_THAT(pool.error().message(), HasSubstr("sysbox:200000:65536"));
  EXPECT_THAT(pool.error().message(), HasSubstr("sysbox:300000:65536"));
}

TEST_F(SubidFilesOnDisk, NoHoleIsAnErrorThatNamesTheBounds) {
  const Result<IdPool> pool = read_or_create_pool(
      files("alice:100000:65536\n", "", "SUB_UID_MIN 100000\nSUB_UID_MAX 165600\n"));
  ASSERT_FALSE(pool.ok());
  EXPECT_EQ(pool.error().code(), ENOSPC);
  EXPECT_THAT(pool.error().message(), HasSubstr("between 100000 and 165600"));
}

TEST_F(SubidFilesOnDisk, LockOfADeadProcessIsTakenOver) {
  const SubidFiles used = files("", "");
  scratch_.write("subuid.lock", "2147483646");  // beyond any pid
  ASSERT_TRUE(read_or_create_pool(used).ok());
  EXPECT_FALSE(std::filesystem::exists(used.uid_path + ".lock"));
}

TEST_F(SubidFilesOnDisk, AFileThatCannotBeWrittenSaysWhatToAdd) {
  SubidFiles used = files("", "");
  std::filesystem::rename(used.uid_path, scratch_ / "elsewhere");
  std::filesystem::create_symlink(scratch_ / "elsewhere", used.uid_path);
  const Result<IdPool> pool = read_or_create_pool(used);
  ASSERT_FALSE(pool.ok());
  EXPECT_THAT(pool.error().message(), HasSubstr("'sysbox:100000:268435456'"));
  EXPECT_THAT(pool.error().message(), HasSubstr(used.uid_path));
  EXPECT_TRUE(std::filesystem::is_symlink(used.uid_path));
}

}  // namespace
}  // namespace sysbox::mgr

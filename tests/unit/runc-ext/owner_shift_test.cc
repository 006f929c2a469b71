#include "runc-ext/uid_shift/owner_shift.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/posix_acl_xattr.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>

#include "common/syscalls.h"
#include "runc-ext/uid_shift/owner_map.h"
#include "scratch_directory.h"

namespace sysbox::runc {
namespace {

constexpr IdRange kRange{700000, 65536};
constexpr IdRange kOther{900000, 65536};

TEST(OwnerMap, MovesOnceAndOnlyWhatIsInItsRanges) {
  const OwnerMap map{{{0, 65536}, kOther}, kRange};
  EXPECT_EQ(map.moved(0), 700000U);
  EXPECT_EQ(map.moved(65535), 765535U);
  EXPECT_EQ(map.moved(65536), 65536U);
  EXPECT_EQ(map.moved(900007), 700007U);
  EXPECT_EQ(map.moved(700007), 700007U);
  EXPECT_EQ(map.moved(map.moved(12)), map.moved(12));
}

TEST(OwnerMap, MovesTheNamedEntriesOfAnAcl) {
  struct {
    posix_acl_xattr_header header{POSIX_ACL_XATTR_VERSION};
    std::array<posix_acl_xattr_entry, 4> entries{
        {{0x01, 7, ~0U}, {0x02, 6, 33}, {0x08, 4, 44}, {0x20, 0, ~0U}}};
  } acl;
  const std::string value(reinterpret_cast<const char*>(&acl), sizeof acl);
  const OwnerMap uids{{{0, 65536}}, kRange};
  const OwnerMap gids{{{0, 65536}}, kOther};
  const std::string moved = moved_acl(value, uids, gids).value();
  std::memcpy(&acl, moved.data(), sizeof acl);
  EXPECT_EQ(acl.entries[0].e_id, ~0U);
  EXPECT_EQ(acl.entries[1].e_id, 700033U);
  EXPECT_EQ(acl.entries[2].e_id, 900044U);
  EXPECT_EQ(moved_acl(moved, uids, gids), moved);
  EXPECT_FALSE(moved_acl(value.substr(1), uids, gids).has_value());
  EXPECT_FALSE(moved_acl("", uids, gids).has_value());
}

TEST(OwnerMap, GivesACapabilityTheRootThatItCountsFor) {
  vfs_cap_data plain{};
  plain.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE;
  plain.data[0].permitted = 0x400;
  const std::string value(reinterpret_cast<const char*>(&plain), sizeof plain);
  const std::string rooted = rooted_capability(value, 700000).value();
  vfs_ns_cap_data data{};
  ASSERT_EQ(rooted.size(), sizeof data);
  std::memcpy(&data, rooted.data(), sizeof data);
  EXPECT_EQ(data.magic_etc, std::uint32_t{VFS_CAP_REVISION_3 | VFS_CAP_FLAGS_EFFECTIVE});
  EXPECT_EQ(data.rootid, 700000U);
  EXPECT_EQ(data.data[0].permitted, 0x400U);
  EXPECT_EQ(rooted_capability(rooted, 0), value);
  EXPECT_FALSE(rooted_capability("short", 0).has_value());
}

class OwnerShiftOnDisk : public testing::Test {
 protected:
  OwnerShiftOnDisk() {
    std::filesystem::create_directories(rootfs_ + "/dir/deep");
    std::ofstream(rootfs_ + "/dir/file") << "text";
    std::ofstream(rootfs_ + "/dir/deep/setuid") << "text";
    std::filesystem::create_hard_link(rootfs_ + "/dir/file", rootfs_ + "/twin");
    std::filesystem::create_symlink("/etc/passwd", rootfs_ + "/link");
    EXPECT_EQ(::chown((rootfs_ + "/dir/file").c_str(), 33, 44), 0);
    EXPECT_EQ(::lchown((rootfs_ + "/link").c_str(), 5, 6), 0);
    EXPECT_EQ(::chown((rootfs_ + "/dir/deep").c_str(), 70000, 1), 0);
    EXPECT_EQ(::chmod((rootfs_ + "/dir/deep/setuid").c_str(), 04755), 0);
  }

  std::string owner(const std::string& name) const {
    const struct stat info = sys::fstatat(AT_FDCWD, rootfs_ + name, AT_SYMLINK_NOFOLLOW).value();
    return join(info.st_uid, ":", info.st_gid);
  }

  ScratchDirectory scratch_;
  std::string rootfs_ = scratch_ / "rootfs";
};

TEST_F(OwnerShiftOnDisk, MovesEverythingAndBackAgain) {
  EXPECT_FALSE(has_shifted_owners(rootfs_));
  const struct stat passwd = sys::fstatat(AT_FDCWD, "/etc/passwd").value();
  ASSERT_TRUE(shift_owners(rootfs_, {"one", kRange, kRange}).ok());
  EXPECT_TRUE(has_shifted_owners(rootfs_));
  EXPECT_EQ(owner(""), "700000:700000");
  EXPECT_EQ(owner("/dir/file"), "700033:700044");
  EXPECT_EQ(owner("/twin"), "700033:700044");
  EXPECT_EQ(owner("/link"), "700005:700006");
  EXPECT_EQ(owner("/dir/deep"), "70000:700001");  // the container has no such user
  const std::string setuid = rootfs_ + "/dir/deep/setuid";
  EXPECT_EQ(sys::fstatat(AT_FDCWD, setuid).value().st_mode & 07777U, 04755U);
  EXPECT_EQ(sys::fstatat(AT_FDCWD, "/etc/passwd").value().st_uid, passwd.st_uid);
  // Another container's wish changes nothing.
  ASSERT_TRUE(restore_owners(rootfs_, "two").ok());
  EXPECT_EQ(owner("/dir/file"), "700033:700044");
  ASSERT_TRUE(restore_owners(rootfs_, "one").ok());
  EXPECT_FALSE(has_shifted_owners(rootfs_));
  EXPECT_EQ(owner("/dir/file"), "33:44");
  EXPECT_EQ(owner("/link"), "5:6");
  EXPECT_EQ(owner(""), "0:0");
  EXPECT_EQ(sys::fstatat(AT_FDCWD, setuid).value().st_mode & 07777U, 04755U);
}

TEST_F(OwnerShiftOnDisk, AWalkThatWasCutShortIsFinishedForTheNextContainer) {
  ASSERT_TRUE(shift_owners(rootfs_, {"one", kRange, kRange}).ok());
  // As if it had been killed on its way.
  ASSERT_EQ(::chown((rootfs_ + "/dir").c_str(), 0, 0), 0);
  ASSERT_TRUE(shift_owners(rootfs_, {"two", kOther, kOther}).ok());
  EXPECT_EQ(owner("/dir"), "900000:900000");
  EXPECT_EQ(owner("/dir/file"), "900033:900044");
  ASSERT_TRUE(restore_owners(rootfs_, "two").ok());
  EXPECT_EQ(owner("/dir/file"), "33:44");
  EXPECT_EQ(owner("/dir"), "0:0");
}

TEST_F(OwnerShiftOnDisk, IsRefusedWhileAnotherContainerRuns) {
  ASSERT_TRUE(shift_owners(rootfs_, {"one", kRange, kRange}).ok());
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(kRange.first) != 0 || ::setuid(kRange.first + 7) != 0) ::_exit(1);
    ::execl("/bin/sleep", "sleep", "100", nullptr);
    ::_exit(1);
  }
  const std::string proc = join("/proc/", child);
  for (int i = 0; i < 5000 && sys::fstatat(AT_FDCWD, proc).value().st_uid == 0; ++i) ::usleep(1000);
  const Result<void> refused = shift_owners(rootfs_, {"two", kOther, kOther});
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), EBUSY);
}

TEST_F(OwnerShiftOnDisk, ARootfsThatIsGoneIsForgotten) {
  ASSERT_TRUE(shift_owners(rootfs_, {"one", kRange, kRange}).ok());
  std::filesystem::remove_all(rootfs_);
  ASSERT_TRUE(restore_owners(rootfs_, "one").ok());
  EXPECT_FALSE(has_shifted_owners(rootfs_));
  EXPECT_TRUE(restore_owners(scratch_ / "none/such", "one").ok());
}

TEST_F(OwnerShiftOnDisk, IdsThatOverlapTheImagesAreRefused) {
  EXPECT_EQ(shift_owners(rootfs_, {"one", {1000, 65536}, kRange}).error().code(), EINVAL);
  EXPECT_FALSE(has_shifted_owners(rootfs_));
}

}  // namespace
}  // namespace sysbox::runc

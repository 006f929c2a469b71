#include "common/mount_info.h"

#include <gtest/gtest.h>

#include "common/syscalls.h"

namespace sysbox {
namespace {

TEST(MountInfo, ReadsALineWithEscapesAndOptionalFields) {
  const MountInfo mount =
      parse_mount_info_line(
          "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=x")
          .value();
  EXPECT_EQ(mount.mount_id, 36);
  EXPECT_EQ(mount.parent_id, 35);
  EXPECT_EQ(mount.device, "98:0");
  EXPECT_EQ(mount.root, "/mnt1");
  EXPECT_EQ(mount.target, "/mnt 2");
  EXPECT_EQ(mount.propagation, "shared:1 master:2");
  EXPECT_EQ(mount.filesystem, "ext3");
  EXPECT_EQ(mount.source, "/dev/root");
  EXPECT_EQ(mount.superblock_options, "rw,errors=x");
}

TEST(MountInfo, ReadsThisMachinesOwn) {
  const std::string text = sys::read_file("/proc/self/mountinfo").value();
  const auto mounts = parse_mount_info(text);
  ASSERT_TRUE(mounts.ok()) << mounts.error().message();
  EXPECT_GT(mounts.value().size(), 2U);
}

TEST(MountInfo, RefusesALineWithoutSeparator) {
  EXPECT_FALSE(parse_mount_info_line("36 35 98:0 / /mnt rw shared:1").ok());
  EXPECT_FALSE(parse_mount_info_line("").ok());
  EXPECT_FALSE(parse_mount_info_line("x 35 98:0 / /mnt rw - ext4 a rw").ok());
}

TEST(MountOption, IsFoundByItsWholeName) {
  EXPECT_EQ(mount_option("rw,xlower=1,lower=a:b,upper=c", "lower"), "a:b");
  EXPECT_EQ(mount_option("rw,upper=c\\,d", "upper"), "c,d");
  EXPECT_EQ(mount_option("rw", "upper"), "");
}

}  // namespace
}  // namespace sysbox

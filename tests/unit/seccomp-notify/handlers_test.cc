#include "seccomp-notify/handlers/handlers.h"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include "tests/unit/seccomp-notify/no_actions.h"

namespace sysbox::testing {
namespace {

using seccomp::EmulatedKind;

class PiecesOnDevice40 : public NoActions {
 public:
  PiecesOnDevice40() : NoActions("a") {}
  bool is_piece_device(dev_t device) const override { return device == makedev(0, 40); }
};

bool visible(const std::string& mountinfo, EmulatedKind kind, bool read_only = false) {
  const auto mounts = parse_mount_info(mountinfo);
  EXPECT_TRUE(mounts.ok());
  return seccomp::is_fully_visible(mounts.value(), kind, PiecesOnDevice40(), read_only);
}

const std::string kRoot = "1 1 0:1 / / rw - tmpfs tmpfs rw\n";
const std::string kProc = "2 1 0:2 / /proc rw,nosuid - proc proc rw\n";
const std::string kPiece = "3 2 0:40 /uptime /proc/uptime rw - fuse.sysbox none rw\n";

TEST(FullyVisible, NeedsAMountOfTheSameKind) {
  EXPECT_FALSE(visible(kRoot, EmulatedKind::kProc));
  EXPECT_TRUE(visible(kRoot + kProc, EmulatedKind::kProc));
  EXPECT_FALSE(visible(kRoot + kProc, EmulatedKind::kSysfs));
}

TEST(FullyVisible, IsAProcfsWithOurPieces) {
  EXPECT_TRUE(visible(kRoot + kProc + kPiece, EmulatedKind::kProc));
}

TEST(FullyVisible, IsNoProcfsWithAMask) {
  EXPECT_FALSE(visible(kRoot + kProc + kPiece + "4 2 0:5 /null /proc/kcore rw - devtmpfs d rw\n",
                       EmulatedKind::kProc));
}

TEST(FullyVisible, IsOneOfSeveralThatIs) {
  EXPECT_TRUE(visible(kRoot + kProc + "4 2 0:5 /null /proc/kcore rw - devtmpfs d rw\n" +
                          "5 1 0:6 / /mnt rw - proc proc rw\n",
                      EmulatedKind::kProc));
}

TEST(FullyVisible, IsNoPartOfAProcfs) {
  EXPECT_FALSE(visible(kRoot + "2 1 0:2 /sys /proc/sys rw - proc proc rw\n", EmulatedKind::kProc));
}

TEST(FullyVisible, CountsReadOnlyForReadOnlyMountsOnly) {
  const std::string read_only = "2 1 0:2 / /proc ro,nosuid - proc proc rw\n";
  EXPECT_FALSE(visible(kRoot + read_only, EmulatedKind::kProc));
  EXPECT_TRUE(visible(kRoot + read_only, EmulatedKind::kProc, true));
}

TEST(FullyVisible, AllowsMountsOnDirectoriesThatAreAlwaysEmpty) {
  const std::string sysfs = "2 1 0:2 / /sys rw - sysfs sysfs rw\n";
  EXPECT_TRUE(visible(kRoot + sysfs + "3 2 0:7 / /sys/fs/cgroup rw - cgroup2 c rw\n",
                      EmulatedKind::kSysfs));
  EXPECT_FALSE(
      visible(kRoot + sysfs + "3 2 0:7 / /sys/firmware rw - tmpfs t rw\n", EmulatedKind::kSysfs));
}

}  // namespace
}  // namespace sysbox::testing

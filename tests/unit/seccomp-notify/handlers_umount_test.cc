#include <gtest/gtest.h>
#include <sys/mount.h>

#include <array>
#include <cerrno>

#include "tests/unit/seccomp-notify/trapped_container.h"

namespace sysbox::testing {
namespace {

// As umount(8) does with --recursive: all that mountinfo shows, the last one first.
TEST(Umount, OfAllThatIsBelowTakesDownAProcfs) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    for (const char* make : {"mount -t proc p mnt", "mount -t sysfs s mnt"}) {
      CHECK_INSIDE(expect_shell(make));
      CHECK_INSIDE(expect_shell("umount --recursive mnt && ! mountpoint -q mnt"));
    }
    return "";
  });
}

// As systemd does: from the first that is shown again after each success, until nothing is left to
// take down. What cannot be taken down then costs it one success, not one each.
TEST(Umount, OfAllThatIsShownAgainEndsSoon) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(expect_shell("mount -t proc p mnt"));
    const std::array pieces = {"mnt/sys/kernel/panic", "mnt/uptime"};
    const int first = ::umount2(pieces[0], 0);
    if (first != 0) return "";  // before Linux 6.8 no success at all
    for (const char* piece : pieces) {
      CHECK_INSIDE(expect_errno("umount of what is still there", ::umount2(piece, 0), EINVAL));
    }
    CHECK_INSIDE(expect_shell("umount mnt/uptime"));  // another process is told of it
    return expect_success("umount of the procfs", ::umount2("mnt", 0));
  });
}

}  // namespace
}  // namespace sysbox::testing

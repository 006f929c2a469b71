#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "tests/unit/seccomp-notify/trapped_container.h"

namespace sysbox::testing {
namespace {

const std::string kShownUser = "uid=" + std::to_string(kFirstHostId);
const std::string kShownGroup = "gid=" + std::to_string(kFirstHostId + 5);

long remount(const std::string& options, unsigned long flags = 0) {
  return ::mount("none", "mnt", "none", MS_REMOUNT | flags, options.c_str());
}
std::string mount_tmpfs() {
  return expect_success("tmpfs", ::mount("t", "mnt", "tmpfs", 0, "uid=0,gid=5,size=1m"));
}
bool is_shown(const std::string& option) {
  std::ifstream table("/proc/self/mountinfo");
  for (std::string line; std::getline(table, line);) {
    if (line.find("/mnt ") != std::string::npos && line.find(option) != std::string::npos) {
      return true;
    }
  }
  return false;
}

long set(long context, const std::string& key, const std::string& value) {
  return ::syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0);
}
long pick() { return ::syscall(SYS_fspick, AT_FDCWD, "mnt", FSPICK_CLOEXEC); }
long reconfigure(long context) {
  return ::syscall(SYS_fsconfig, context, FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0);
}

TEST(Remount, MayNameTheIdsThatTheKernelShows) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_tmpfs());
    CHECK_THAT(is_shown(kShownUser) && is_shown(kShownGroup));
    const std::string ids = kShownUser + "," + kShownGroup;
    CHECK_INSIDE(expect_success("larger", remount("size=2048k," + ids)));
    CHECK_THAT(is_shown("size=2048k"));
    CHECK_INSIDE(expect_success("last", remount(ids + ",size=3072k")));
    CHECK_INSIDE(expect_success("often", remount(ids + "," + ids + ",,size=4096k")));
    CHECK_THAT(is_shown("size=4096k") && is_shown(kShownUser) && is_shown(kShownGroup));
    CHECK_INSIDE(expect_success("read-only", remount(ids, MS_RDONLY)));
    return expect_errno("a file", ::creat("mnt/file", 0644), EROFS);
  });
}

TEST(Remount, TakesNoOtherIdForTheHosts) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_tmpfs());
    const std::string next = "uid=" + std::to_string(kFirstHostId + 1);
    CHECK_INSIDE(expect_errno("not shown", remount(next), EINVAL));
    CHECK_INSIDE(expect_errno("one of them", remount(kShownUser + "," + next), EINVAL));
    CHECK_INSIDE(expect_errno("longer", remount(kShownUser + "0"), EINVAL));
    CHECK_INSIDE(expect_errno("shown as gid", remount("uid=" + kShownGroup.substr(4)), EINVAL));
    CHECK_INSIDE(expect_success("of the container", remount("uid=7")));
    return expect_errno("unknown", remount(kShownUser + ",colour=red"), EINVAL);
  });
}

TEST(Remount, IsOfAMountsRoot) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_tmpfs());
    CHECK_INSIDE(expect_success("mkdir", ::mkdir("mnt/sub", 0755)));
    return expect_errno(
        "below", ::mount(nullptr, "mnt/sub", nullptr, MS_REMOUNT, kShownUser.c_str()), EINVAL);
  });
}

TEST(Remount, NeedsTheCapability) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_tmpfs());
    return as_user(1000,
                   [] { return expect_errno("of another user", remount(kShownUser), EPERM); });
  });
}

TEST(PickedContext, TakesTheIdsThatTheKernelShows) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_tmpfs());
    const long context = pick();
    CHECK_INSIDE(expect_success("fspick", context));
    CHECK_INSIDE(expect_success("uid", set(context, "uid", kShownUser.substr(4))));
    CHECK_INSIDE(expect_success("again", set(context, "uid", kShownUser.substr(4))));
    CHECK_INSIDE(expect_success("gid", set(context, "gid", kShownGroup.substr(4))));
    CHECK_INSIDE(expect_success("size", set(context, "size", "2048k")));
    CHECK_INSIDE(expect_success("reconfigure", reconfigure(context)));
    CHECK_THAT(is_shown("size=2048k") && is_shown(kShownUser) && is_shown(kShownGroup));
    return "";
  });
}

TEST(PickedContext, TakesNoStrangeIds) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(mount_tmpfs());
    const long context = pick();
    CHECK_INSIDE(expect_errno("the host's root", set(context, "uid", "199999"), EINVAL));
    CHECK_INSIDE(expect_errno("no number", set(context, "uid", "200000x"), EINVAL));
    CHECK_INSIDE(expect_errno("long", set(context, "uid", std::string(300, '2')), EINVAL));
    return expect_errno("no context", set(::open("mnt", O_RDONLY | O_CLOEXEC), "uid", "200000"),
                        EINVAL);
  });
}

TEST(NewContext, TakesNoIdsOfTheHost) {
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    const long context = ::syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
    CHECK_INSIDE(expect_success("fsopen", context));
    CHECK_INSIDE(expect_errno("uid", set(context, "uid", kShownUser.substr(4)), EINVAL));
    // It is as new as before.
    CHECK_INSIDE(expect_success("own uid", set(context, "uid", "7")));
    return expect_success(
        "create", ::syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0));
  });
}

}  // namespace
}  // namespace sysbox::testing

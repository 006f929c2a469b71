#include <gtest/gtest.h>
#include <linux/landlock.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "tests/unit/seccomp-notify/trapped_container.h"

namespace sysbox::testing {
namespace {

constexpr long kCreateRuleset = 444;
constexpr long kRestrictSelf = 446;

bool has_landlock() { return ::syscall(kCreateRuleset, nullptr, 0, 1) > 0; }

std::string restrict_self() {
  struct landlock_ruleset_attr rules {};
  rules.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_BLOCK;
  const long ruleset = ::syscall(kCreateRuleset, &rules, sizeof rules.handled_access_fs, 0);
  return expect_success("landlock_restrict_self", ::syscall(kRestrictSelf, ruleset, 0));
}
std::string refused_proc() {
  return expect_errno("mount proc", ::mount("proc", "mnt", "proc", 0, nullptr), EPERM);
}
std::string in_child(const Inside& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body().empty() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return status == 0 ? "" : "in the child";
}

std::string restricted_with_child() {
  CHECK_INSIDE(restrict_self());
  CHECK_INSIDE(refused_proc());
  return in_child(refused_proc);
}

TEST(CallerUnderLandlock, GetsNoHelpNorDoesWhatItStarts) {
  if (!has_landlock()) GTEST_SKIP() << "no Landlock here";
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(in_child(restricted_with_child));
    CHECK_INSIDE(expect_success("mount proc", ::mount("proc", "mnt", "proc", 0, nullptr)));
    CHECK_THAT(read_text("mnt/uptime") == kPieceText);
    return "";
  });
}

TEST(CallerUnderLandlock, CannotTakeItsMarkOff) {
  if (!has_landlock()) GTEST_SKIP() << "no Landlock here";
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_INSIDE(restrict_self());
    const struct rlimit all { RLIM_INFINITY, RLIM_INFINITY };
    CHECK_INSIDE(expect_errno("raise", ::setrlimit(RLIMIT_LOCKS, &all), EPERM));
    const struct rlimit none {};
    CHECK_INSIDE(expect_success("lower", ::setrlimit(RLIMIT_LOCKS, &none)));
    return refused_proc();
  });
}

TEST(CallerUnderLandlock, MayBeAnyThread) {
  if (!has_landlock()) GTEST_SKIP() << "no Landlock here";
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    std::string failure;
    std::thread([&failure] {
      failure = restrict_self();
      if (failure.empty()) failure = refused_proc();
    }).join();
    return failure;
  });
}

TEST(CallerUnderLandlock, IsNoneThatHasMerelyAsked) {
  if (!has_landlock()) GTEST_SKIP() << "no Landlock here";
  REQUIRE_CONTAINERS();
  expect_inside([]() -> std::string {
    CHECK_THAT(::syscall(kRestrictSelf, -1, 0) < 0);
    return expect_success("mount proc", ::mount("proc", "mnt", "proc", 0, nullptr));
  });
}

}  // namespace
}  // namespace sysbox::testing

#include "runc-ext/container/process_identity.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sysbox::runc {
namespace {

TEST(ProcessIdentity, AProcessIsAliveAsLongAsItRuns) {
  const std::uint64_t start = process_start_time(::getpid()).value();
  EXPECT_TRUE(open_if_alive(::getpid(), start).has_value());
}

TEST(ProcessIdentity, AnotherProcessOfThePidIsNotIt) {
  const std::uint64_t start = process_start_time(::getpid()).value();
  EXPECT_FALSE(open_if_alive(::getpid(), start + 1).has_value());
}

TEST(ProcessIdentity, AZombieIsDead) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  const std::uint64_t start = process_start_time(child).value();
  EXPECT_FALSE(open_if_alive(child, start).has_value());
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(process_start_time(child).ok());
  EXPECT_FALSE(open_if_alive(0, 0).has_value());
}

}  // namespace
}  // namespace sysbox::runc

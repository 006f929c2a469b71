#include "mgr/live_processes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "child_process.h"
#include "scratch_directory.h"

namespace sysbox::mgr {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

TEST(LiveProcesses, GathersMapsOfOtherNamespaces) {
  const ScratchDirectory proc;
  const std::string own = "0 0 4294967295\n";
  for (const auto& [name, map] :
       std::vector<std::pair<std::string, std::string>>{{"self", own},
                                                        {"1", own},
                                                        {"20", "0 231072 65536\n"},
                                                        {"21", "0 231072 65536\n"},
                                                        {"22", "1000 1000 1\n"},
                                                        {"23", ""},
                                                        {"acpi", "0 5 5\n"},
                                                        {"24", "0 100000 9\n9 7 1\n"}}) {
    proc.make_directory(name);
    proc.write(name + "/uid_map", map);
  }
  proc.make_directory("25");  // a process that ended while we looked
  EXPECT_THAT(LiveProcesses::open(proc.path()).value().mapped_uids().value(),
              ElementsAre(IdRange{7, 1}, IdRange{100000, 9}, IdRange{231072, 65536}));
}

TEST(LiveProcesses, KnowsAProcessFromALaterOneOfTheSamePid) {
  const LiveProcesses processes = LiveProcesses::open().value();
  const std::optional<ProcessIdentity> me = processes.identify(::getpid());
  ASSERT_TRUE(me);
  EXPECT_TRUE(processes.is_alive(*me));
  EXPECT_FALSE(processes.is_alive({me->pid, me->start_time + 1}));
  EXPECT_FALSE(processes.is_alive({}));
  ChildProcess child({"sleep", "60"});
  const std::optional<ProcessIdentity> other = processes.identify(child.pid());
  ASSERT_TRUE(other);
  child.stop(SIGKILL);
  EXPECT_FALSE(processes.is_alive(*other));
}

TEST(LiveProcesses, SeesARealUserNamespace) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to map foreign ids";
  const LiveProcesses processes = LiveProcesses::open().value();
  const IdRange range{3000000000U, 65536};
  ChildProcess child({"unshare", "--user", "sleep", "60"});
  const std::string map = "/proc/" + std::to_string(child.pid()) + "/uid_map";
  if (!eventually([&] { return sys::write_file(map, "0 3000000000 65536").ok(); })) {
    GTEST_SKIP() << "user namespaces are not allowed here";
  }
  EXPECT_THAT(processes.mapped_uids().value(), Contains(range));
  child.stop(SIGKILL);
  EXPECT_THAT(processes.mapped_uids().value(), Not(Contains(range)));
}

}  // namespace
}  // namespace sysbox::mgr

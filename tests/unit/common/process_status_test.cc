#include "common/process_status.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "common/syscalls.h"

namespace sysbox {
namespace {

TEST(ProcessStatus, ReadsIdsCapabilitiesAndPids) {
  const ProcessStatus status =
      parse_process_status(
          "Name:\tevil Uid: 0\nTgid:\t7\nPid:\t9\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n"
          "Groups:\t10 20 \nNStgid:\t898\t38\t1\nNSpid:\t900\t40\t3\nCapEff:\t000001ffffffffff\n")
          .value();
  EXPECT_EQ(status.thread_group, 7);
  EXPECT_EQ(status.uid, 1U);
  EXPECT_EQ(status.effective_uid, 2U);
  EXPECT_EQ(status.filesystem_uid, 4U);
  EXPECT_EQ(status.effective_gid, 6U);
  EXPECT_EQ(status.groups, (std::vector<std::uint32_t>{10, 20}));
  EXPECT_EQ(status.pids_in_namespaces, (std::vector<pid_t>{900, 40, 3}));
  EXPECT_EQ(status.thread_groups_in_namespaces, (std::vector<pid_t>{898, 38, 1}));
  EXPECT_EQ(status.effective_capabilities, 0x1ffffffffffU);
}

TEST(ProcessStatus, ReadsOurOwn) {
  const std::string text = sys::read_file("/proc/self/status").value();
  const ProcessStatus status = parse_process_status(text).value();
  EXPECT_EQ(status.thread_group, ::getpid());
  EXPECT_EQ(status.effective_uid, ::geteuid());
}

TEST(ProcessStatus, WithoutIdsIsRefused) {
  EXPECT_FALSE(parse_process_status("Tgid:\t7\n").ok());
  EXPECT_FALSE(parse_process_status("Uid:\t1\t2\nGid:\t1\t2\t3\t4\n").ok());
}

TEST(ProcessStat, FindsTheStartTimeWhateverTheProgramIsCalled) {
  const ProcessStat stat =
      parse_process_stat("12 (a) b) 3 (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 9")
          .value();
  EXPECT_EQ(stat.state, 'S');
  EXPECT_EQ(stat.start_time, 4711U);
}

TEST(ProcessStat, ThatIsCutOffIsRefused) {
  for (const char* text : {"", "12 (a", "12 (a)", "12 (a) ", "12 (a) S", "12 (a) S 1 2"}) {
    EXPECT_FALSE(parse_process_stat(text).ok()) << text;
  }
}

TEST(CgroupMembership, NamesEachHierarchy) {
  const CgroupMembership membership =
      parse_cgroup_membership("4:memory:/a:b\n9:name=systemd:/\n0::/x\n").value();
  EXPECT_EQ(membership.find("memory")->second, "/a:b");
  EXPECT_EQ(membership.find("name=systemd")->second, "/");
  EXPECT_EQ(membership.find("")->second, "/x");
  EXPECT_FALSE(parse_cgroup_membership("nonsense").ok());
}

}  // namespace
}  // namespace sysbox

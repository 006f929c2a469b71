#include "fs-emulator/task_census.h"

#include <gtest/gtest.h>

#include "tests/support/fixture_proc.h"

namespace sysbox::fs {
namespace {

TEST(TaskStatus, IsReadFromTheKernelsText) {
  // The command's name is escaped by the kernel; it cannot make lines of its own.
  const TaskStatus task = parse_task_status(
      "Name:\tspin\\nState:\tD\nUmask:\t0022\nState:\tR (running)\nTgid:\t501\n"
      "NSpid:\t501\t17\t3\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n");
  EXPECT_EQ(task.state, 'R');
  EXPECT_EQ(task.pid_in_container, 17U);
  EXPECT_EQ(task.context_switches, 695U);
}

TEST(TaskStatus, OfNothingIsUnknown) {
  EXPECT_EQ(parse_task_status("").state, '?');
  EXPECT_EQ(parse_task_status("State:\nNSpid:\t5\n").pid_in_container, 0U);
}

TEST(TaskCensus, CountsInAllCgroupsBelow) {
  const testing::FixtureProc files;
  files.set("tasks", "1\n2\n");
  files.set("a/tasks", "3\n");
  files.set("a/b/tasks", "4\nnonsense\n");
  const auto status_of = [](std::string_view tid) {
    return tid == "2" ? TaskStatus{'S', 20, 5} : TaskStatus{tid == "4" ? 'D' : 'R', 7, 1};
  };
  const TaskCensus all = take_census(files.root(), "tasks", status_of, 100);
  EXPECT_EQ(all.tasks, 4U);
  EXPECT_EQ(all.running, 2U);
  EXPECT_EQ(all.blocked, 1U);
  EXPECT_EQ(all.highest_pid, 20U);
  EXPECT_EQ(all.context_switches, 8U);
  EXPECT_EQ(take_census(files.root(), "tasks", status_of, 1).tasks, 1U);
}

}  // namespace
}  // namespace sysbox::fs

// The readers of files/ that stand for a machine's zones, interrupts, disks and pressure.

#include <gmock/gmock.h>

#include "tests/unit/fs-emulator/container_fixture.h"
#include "tests/unit/fs-emulator/kernel_texts.h"

namespace sysbox::fs {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::uint64_t kMiB = 1 << 20;

class MachineFiles : public ContainerFixture {
 protected:
  // 1 GiB, 324 MiB of it free; two cpus.
  void SetUp() override {
    use_cgroup_v2();
    v2("memory.max", join(1024 * kMiB, "\n"));
    v2("memory.current", join(700 * kMiB, "\n"));
    v2("memory.stat", kMemoryStatOf612);
    v2("cpu.max", "150000 100000\n");
  }
};

TEST_F(MachineFiles, ZoneinfoIsOneZoneInTheKernelsForm) {
  files_.set("proc/zoneinfo", kZoneinfoOf618);
  const std::string text = read(read_zoneinfo);
  EXPECT_THAT(text, StartsWith("Node 0, zone   Normal\n  per-node stats\n      nr_inactive_anon "));
  EXPECT_THAT(text, HasSubstr("\n      nr_inactive_anon 10240\n"));
  EXPECT_THAT(text, HasSubstr("\n      workingset_refault_file 17\n"));
  EXPECT_THAT(text,
              HasSubstr("\n  pages free     82944\n        boost    0\n        min      0\n"));
  EXPECT_THAT(text, HasSubstr("\n        managed  262144\n"));
  EXPECT_THAT(text, HasSubstr("\n        protection: (0, 0, 0, 0, 0)\n"));
  EXPECT_THAT(text, HasSubstr("\n      nr_free_pages 82944\n"));
  EXPECT_THAT(text, HasSubstr("\n    cpu: 1\n              count:    0\n"));
  EXPECT_THAT(text, Not(HasSubstr("cpu: 2")));
  EXPECT_THAT(text, EndsWith("\n  node_unreclaimable:  0\n  start_pfn:           0\n"));
  EXPECT_EQ(text.find("Node", 1), std::string::npos);
}

TEST_F(MachineFiles, ZoneinfoHasNoNumberOfTheHost) {
  files_.set("proc/zoneinfo", kZoneinfoOf61);
  EXPECT_EQ(read(read_zoneinfo),
            "Node 0, zone   Normal\n  per-node stats\n      nr_inactive_anon 10240\n"
            "      nr_active_file 20480\n      workingset_refault_file 17\n"
            "      nr_anon_pages 89600\n  pages free     82944\n        boost    0\n"
            "        min      0\n        low      0\n        high     0\n"
            "        spanned  262144\n        present  262144\n        managed  262144\n"
            "        cma      0\n        protection: (0, 0, 0, 0)\n      nr_free_pages 82944\n"
            "      nr_zone_active_file 20480\n      nr_mlock     0\n  pagesets\n"
            "    cpu: 0\n              count: 0\n              high:  0\n              batch: 0\n"
            "    cpu: 1\n              count: 0\n              high:  0\n              batch: 0\n"
            "  node_unreclaimable:  0\n  start_pfn:           0\n");
}

TEST_F(MachineFiles, BuddyinfoAddsUpToMemFree) {
  files_.set(
      "proc/buddyinfo",
      "Node 0, zone      DMA      0      0      0      0      0      0      0      0      1  "
      "    1      3 \nNode 0, zone   Normal      7 \n");
  v2("memory.current", join(1024 * kMiB - 12 * 1024, "\n"));
  v2("memory.stat", "");
  EXPECT_EQ(read(read_buddyinfo),
            "Node 0, zone   Normal      1      1      0      0      0      0      0      0      0  "
            "    0      0 \n");
  v2("memory.current", "0\n");
  EXPECT_THAT(read(read_buddyinfo), EndsWith("      0      0    256 \n"));
}

TEST_F(MachineFiles, InterruptTablesHaveAColumnForEachCpu) {
  EXPECT_EQ(read(read_interrupts), "           CPU0       CPU1       \n");
  const std::string text = read(read_softirqs);
  EXPECT_THAT(text, StartsWith("                    CPU0       CPU1       \n"
                               "          HI:          0          0\n"
                               "       TIMER:          0          0\n"));
  EXPECT_THAT(text, EndsWith("         RCU:          0          0\n"));
}

TEST_F(MachineFiles, SchedstatHasTheTimeThatTasksRan) {
  files_.set("proc/schedstat",
             "version 17\ntimestamp 4295000\ncpu0 0 0 0 0 0 0 9 8 7\ndomain0 MC 3 1 2\n");
  v2("cpu.stat", "usage_usec 3000000\nuser_usec 2000000\nsystem_usec 1000000\n");
  advance(10);
  EXPECT_EQ(read(read_schedstat),
            "version 17\ntimestamp 1000\ncpu0 0 0 0 0 0 0 1500000000 0 0\n"
            "cpu1 0 0 0 0 0 0 1500000000 0 0\n");
}

TEST_F(MachineFiles, PartitionsAreTheDisksOfDiskstats) {
  files_.set("proc/partitions",
             "major minor  #blocks  name\n\n   8        0  250059096 sda\n   8        1     524288 "
             "sda1\n 254        0  268435456 vda\n");
  EXPECT_EQ(read(read_partitions), "major minor  #blocks  name\n\n");
  v2("io.stat", "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n");
  EXPECT_EQ(read(read_partitions), "major minor  #blocks  name\n\n 254        0  268435456 vda\n");
}

TEST_F(MachineFiles, VmstatCountsTheEventsOfTheCgroup) {
  files_.set("proc/vmstat",
             "nr_free_pages 1\nnr_anon_transparent_hugepages 1\nnr_kernel_stack 1\npgpgin 1\n"
             "pgpgout 1\npswpout 1\npgscan_direct 1\nworkingset_refault_file 1\n"
             "thp_fault_alloc 1\noom_kill 1\npgalloc_normal 1\nnr_hugetlb 1\n");
  v2("io.stat", "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2\n8:0 rbytes=1024 wbytes=0\n");
  v2("memory.events", "low 0\nhigh 0\nmax 5\noom 2\noom_kill 3\n");
  EXPECT_EQ(
      read(read_vmstat),
      "nr_free_pages 82944\nnr_anon_transparent_hugepages 32\nnr_kernel_stack 2048\npgpgin 5\n"
      "pgpgout 8\npswpout 600\npgscan_direct 400\nworkingset_refault_file 17\n"
      "thp_fault_alloc 32\noom_kill 3\npgalloc_normal 0\nnr_hugetlb 0\n");
}

TEST_F(MachineFiles, PressureIsThatOfTheCgroupWithTheLimit) {
  constexpr const char* kCalm = "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
  constexpr const char* kTight = "some avg10=9.50 avg60=0.00 avg300=0.00 total=77\n";
  v2("cpu.pressure", kCalm);
  v2("memory.pressure", kCalm);
  v2("io.pressure", kCalm);
  EXPECT_EQ(read(read_cpu_pressure), kCalm);
  requester(5, "0::/box/slice/inner\n", 2);
  v2("memory.max", join(kMiB, "\n"), "/slice");
  v2("memory.stat", "", "/slice");
  v2("memory.pressure", kTight, "/slice");
  v2("cpu.pressure", kTight, "/slice");
  v2("cgroup.procs", "", "/slice/inner");
  EXPECT_EQ(read(read_memory_pressure), kTight);
  EXPECT_EQ(read(read_cpu_pressure), kCalm);
  EXPECT_EQ(read(read_io_pressure), kCalm);
}

TEST_F(MachineFiles, PressureIsRefusedWhereNoneIsKept) {
  EXPECT_EQ(read_irq_pressure(view()).error().code(), EOPNOTSUPP);
  directories_.clear();
  use_cgroup_v1();
  EXPECT_EQ(read_cpu_pressure(view()).error().code(), EOPNOTSUPP);
}

TEST_F(MachineFiles, SlabinfoIsItsHeading) {
  EXPECT_THAT(read(read_slabinfo), StartsWith("slabinfo - version: 2.1\n# name "));
}

}  // namespace
}  // namespace sysbox::fs

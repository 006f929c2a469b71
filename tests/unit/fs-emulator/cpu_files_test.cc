// The readers of files/ that tell about time and processors.

#include <gmock/gmock.h>

#include "fs-emulator/text_fields.h"
#include "tests/unit/fs-emulator/container_fixture.h"

namespace sysbox::fs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class CpuFiles : public ContainerFixture {
 protected:
  void one_cpu() {
    v1("cpu", "cpu.cfs_period_us", "100000\n");
    v1("cpu", "cpu.cfs_quota_us", "100000\n");
  }
  void used(std::uint64_t user_ns, std::uint64_t system_ns) {
    v1("cpuacct", "cpuacct.usage_user", join(user_ns, "\n"));
    v1("cpuacct", "cpuacct.usage_sys", join(system_ns, "\n"));
  }
};

TEST_F(CpuFiles, UptimeCountsFromTheStart) {
  EXPECT_EQ(read(read_uptime), "0.00 0.00\n");
  use_cgroup_v1();
  one_cpu();
  used(2 * kSecond, kSecond);
  advance(61.25);
  EXPECT_EQ(read(read_uptime), "61.25 58.25\n");
}

TEST_F(CpuFiles, UptimeBeforeTheStartIsZero) {
  start_ns_ = now_.boot_ns + kSecond;
  EXPECT_EQ(read(read_uptime), "0.00 0.00\n");
}

TEST_F(CpuFiles, UptimeAndBootTimeFollowTheTimeNamespace) {
  advance(100);
  requester(7, "0::/\n", 2);
  files_.set("proc/7/timens_offsets",
             "monotonic           0         0\nboottime        86400         0\n");
  EXPECT_THAT(read(read_uptime), StartsWith("86500.00 "));
  EXPECT_THAT(read(read_stat), HasSubstr(join("\nbtime ", 1'700'000'000 - 86400, "\n")));
  // The container's own clock was set when it was made.
  own_offset_ns_ = -600 * static_cast<std::int64_t>(kSecond);
  files_.set("proc/7/timens_offsets", "boottime         -600         0\n");
  EXPECT_THAT(read(read_uptime), StartsWith("500.00 "));
  files_.set("proc/7/timens_offsets", "boottime        -9999 500000000\n");
  EXPECT_THAT(read(read_uptime), StartsWith("0.00 "));
}

TEST_F(CpuFiles, BootTimeIsTheSameAllTheTime) {
  now_.wall_ns += kSecond / 2;
  for (int i = 0; i < 20; ++i) {
    advance(0.1);
    EXPECT_THAT(read(read_stat), HasSubstr("\nbtime 1700000000\n"));
  }
}

TEST(BoottimeOffset, CountsNanosecondsForwards) {
  EXPECT_EQ(parse_boottime_offset("monotonic  5 0\nboottime  -2 500000000\n"), -1'500'000'000);
  EXPECT_EQ(parse_boottime_offset("boottime  1 5\n"), 1'000'000'005);
  EXPECT_EQ(parse_boottime_offset("nonsense"), 0);
}

TEST_F(CpuFiles, StatHasALinePerCpuAndTheStartTime) {
  use_cgroup_v1();
  used(4 * kSecond, 2 * kSecond);
  v1("cpuset", "cpuset.effective_cpus", "0-1\n");
  advance(10);
  EXPECT_EQ(read(read_stat),
            "cpu  400 0 200 1400 0 0 0 0 0 0\n"
            "cpu0 200 0 100 700 0 0 0 0 0 0\n"
            "cpu1 200 0 100 700 0 0 0 0 0 0\n"
            "intr 0\nctxt 0\nbtime 1700000000\nprocesses 1\n"
            "procs_running 1\nprocs_blocked 0\n"
            "softirq 0 0 0 0 0 0 0 0 0 0 0\n");
}

TEST_F(CpuFiles, StatNeverGoesBackWhenTheNumberOfCpusChanges) {
  use_cgroup_v1();
  used(4 * kSecond, 0);
  advance(10);
  EXPECT_THAT(read(read_stat), StartsWith("cpu  400 0 0 3600 "));
  one_cpu();
  advance(10);
  used(5 * kSecond, 0);
  EXPECT_THAT(read(read_stat), StartsWith("cpu  500 0 0 4500 "));
  v1("cpu", "cpu.cfs_quota_us", "-1\n");
  EXPECT_THAT(read(read_stat), StartsWith("cpu  500 0 0 4500 "));
}

TEST_F(CpuFiles, LoadavgHasAveragesTasksAndLastPid) {
  EXPECT_EQ(read(read_loadavg), "0.00 0.00 0.00 1/1 1\n");
  use_cgroup_v1();
  requester(500, "1:pids:/box\n", 42);
  v1("pids", "pids.current", "5\n");
  v1("pids", "tasks", "501\n502\n500\n");
  files_.set("proc/501/status",
             "State:\tR (running)\nNSpid:\t501\t44\nvoluntary_ctxt_switches:\t9\n");
  files_.set("proc/502/status", "State:\tD (disk sleep)\nNSpid:\t502\t12\n");
  advance(10);
  // One runs, and the reader.
  EXPECT_THAT(read(read_loadavg), ::testing::EndsWith(" 2/5 44\n"));
  EXPECT_THAT(read(read_stat), HasSubstr("\nctxt 9\n"));
  EXPECT_THAT(read(read_stat), HasSubstr("\nprocesses 44\nprocs_running 2\nprocs_blocked 1\n"));
  advance(60);
  used(60 * kSecond, 0);
  EXPECT_THAT(read(read_loadavg), StartsWith("0.7"));
}

// Of a host with two packages of two cores with two threads each.
std::string x86_processor(unsigned number) {
  return join("processor\t: ", number, "\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\n",
              "physical id\t: ", number / 4, "\nsiblings\t: 4\ncore id\t\t: ", number / 2 % 2,
              "\ncpu cores\t: 2\napicid\t\t: ", number + 10,
              "\naddress sizes\t: 46 bits physical, 48 bits virtual\npower management:\n\n");
}

std::vector<std::string> values_of(std::string_view cpuinfo, std::string_view key) {
  std::vector<std::string> values;
  while (!cpuinfo.empty()) {
    const std::string_view line = next_line(cpuinfo);
    if (line.starts_with(key)) values.emplace_back(line.substr(line.find(':') + 2));
  }
  return values;
}

TEST_F(CpuFiles, CpuinfoIsCutAndRenumbered) {
  std::string host;
  for (unsigned cpu = 0; cpu < 8; ++cpu) host += x86_processor(cpu);
  files_.set("proc/cpuinfo", host);
  use_cgroup_v1();
  v1("cpuset", "cpuset.effective_cpus", "2-5\n");
  const std::string text = read(read_cpuinfo);
  EXPECT_THAT(values_of(text, "processor"), ElementsAre("0", "1", "2", "3"));
  EXPECT_THAT(values_of(text, "apicid"), ElementsAre("12", "13", "14", "15"));
  // Two threads of one core in each package.
  EXPECT_THAT(values_of(text, "siblings"), ElementsAre("2", "2", "2", "2"));
  EXPECT_THAT(values_of(text, "cpu cores"), ElementsAre("1", "1", "1", "1"));
  EXPECT_THAT(text, HasSubstr("\npower management:\n\nprocessor\t: 1\n"));
  one_cpu();
  const std::string cut = read(read_cpuinfo);
  EXPECT_THAT(values_of(cut, "processor"), ElementsAre("0"));
  EXPECT_THAT(values_of(cut, "siblings"), ElementsAre("1"));
}

TEST_F(CpuFiles, CpuinfoOfArmHasNoTopology) {
  const auto processor = [](unsigned number) {
    return join("processor\t: ", number,
                "\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd evtstrm aes\nCPU implementer\t: 0x41\n"
                "CPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: ",
                number, "\n\n");
  };
  files_.set("proc/cpuinfo", processor(0) + processor(1) + processor(2));
  use_cgroup_v1();
  v1("cpuset", "cpuset.effective_cpus", "1-2\n");
  std::string expected = processor(1) + processor(2);
  expected.replace(expected.find(": 1\nBogo"), 3, ": 0");
  expected.replace(expected.find(": 2\nBogo"), 3, ": 1");
  EXPECT_EQ(read(read_cpuinfo), expected);
}

TEST_F(CpuFiles, CpuinfoKeepsWhatBelongsToNoProcessor) {
  files_.set("proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 48\n\nHardware\t: Board\n");
  EXPECT_THAT(read(read_cpuinfo), ::testing::EndsWith("\n\nHardware\t: Board\n"));
}

TEST_F(CpuFiles, DiskstatsShowsOnlyWhatTheContainerUsed) {
  files_.set("proc/diskstats",
             " 254       0 vda 58313 11631 3463906 12878 9757 7105 2365784 4928 0 6920 18243\n"
             " 253       0 zram0 5 0 0 0 0 0 0 0 0 0 0\n");
  EXPECT_EQ(read(read_diskstats), "");
  use_cgroup_v1();
  v1("blkio", "blkio.throttle.io_service_bytes_recursive",
     "254:0 Read 4096\n254:0 Write 1024\n254:0 Sync 4096\n254:0 Total 5120\nTotal 5120\n");
  v1("blkio", "blkio.throttle.io_serviced_recursive", "254:0 Read 3\n254:0 Write 2\n");
  EXPECT_EQ(read(read_diskstats), " 254       0 vda 3 0 8 0 2 0 2 0 0 0 0 0 0 0 0 0 0\n");
}

TEST_F(CpuFiles, DiskstatsOfVersionTwo) {
  files_.set("proc/diskstats", "   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n");
  use_cgroup_v2();
  v2("io.stat", "8:0 rbytes=512 wbytes=1024 rios=1 wios=2 dbytes=0 dios=0\n");
  EXPECT_EQ(read(read_diskstats), "   8       0 sda 1 0 1 0 2 0 2 0 0 0 0 0 0 0 0 0 0\n");
}

}  // namespace
}  // namespace sysbox::fs

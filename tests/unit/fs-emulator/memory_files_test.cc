// The readers of files/ that tell about memory.

#include <gmock/gmock.h>

#include "fs-emulator/memory_figures.h"
#include "fs-emulator/system_information.h"
#include "fs-emulator/text_fields.h"
#include "tests/unit/fs-emulator/container_fixture.h"
#include "tests/unit/fs-emulator/kernel_texts.h"

namespace sysbox::fs {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1 << 20;

class MemoryFiles : public ContainerFixture {
 protected:
  void limit_512_mib() {
    use_cgroup_v1();
    v1("memory", "memory.limit_in_bytes", join(512 * kMiB, "\n"));
    v1("memory", "memory.usage_in_bytes", join(200 * kMiB, "\n"));
    v1("memory", "memory.stat",
       join("total_cache ", 100 * kMiB, "\ntotal_rss ", 90 * kMiB, "\ntotal_shmem ", 8 * kMiB,
            "\ntotal_active_file ", 40 * kMiB, "\ntotal_inactive_file ", 50 * kMiB,
            "\ntotal_pgfault 77\n"));
  }
};

TEST_F(MemoryFiles, MeminfoFollowsTheLimit) {
  limit_512_mib();
  const std::string text = read(read_meminfo);
  EXPECT_EQ(meminfo_value(text, "MemTotal"), 512U * 1024);
  EXPECT_EQ(meminfo_value(text, "MemFree"), 312U * 1024);
  EXPECT_EQ(meminfo_value(text, "MemAvailable"), 402U * 1024);
  EXPECT_EQ(meminfo_value(text, "Cached"), 100U * 1024);
  EXPECT_EQ(meminfo_value(text, "AnonPages"), 90U * 1024);
  EXPECT_EQ(meminfo_value(text, "Shmem"), 8U * 1024);
  EXPECT_EQ(meminfo_value(text, "Active(file)"), 40U * 1024);
}

TEST_F(MemoryFiles, MeminfoKeepsTheHostsLinesAndTheirForm) {
  limit_512_mib();
  std::string_view host = kHostMeminfo;
  const std::string text = read(read_meminfo);
  std::string_view ours = text;
  while (!host.empty()) {
    const std::string_view host_line = next_line(host);
    const std::string_view our_line = next_line(ours);
    EXPECT_EQ(our_line.substr(0, our_line.find(':')), host_line.substr(0, host_line.find(':')));
    EXPECT_EQ(our_line.size(), host_line.size());
    EXPECT_EQ(our_line.ends_with(" kB"), host_line.ends_with(" kB"));
  }
  EXPECT_EQ(ours, "");
  // The host's alone is of no concern; what is the same everywhere stays.
  EXPECT_THAT(text, HasSubstr("Buffers:               0 kB\n"));
  EXPECT_THAT(text, HasSubstr("HugePages_Total:       0\n"));
  EXPECT_THAT(text, HasSubstr("Hugepagesize:       2048 kB\n"));
}

TEST_F(MemoryFiles, MeminfoWithoutALimitHasTheHostsTotal) {
  use_cgroup_v1();
  v1("memory", "memory.limit_in_bytes", "9223372036854771712\n");
  v1("memory", "memory.usage_in_bytes", join(8 * kMiB, "\n"));
  v1("memory", "memory.stat", "");
  const std::string text = read(read_meminfo);
  EXPECT_EQ(meminfo_value(text, "MemTotal"), 8388608U);
  EXPECT_EQ(meminfo_value(text, "MemFree"), 8388608U - 8 * 1024);
}

TEST_F(MemoryFiles, MeminfoWithoutACgroupUsesNothing) {
  EXPECT_EQ(meminfo_value(read(read_meminfo), "MemFree"), 8388608U);
}

TEST_F(MemoryFiles, UseBeyondTheLimitLeavesNothing) {
  limit_512_mib();
  v1("memory", "memory.usage_in_bytes", join(513 * kMiB, "\n"));
  EXPECT_EQ(meminfo_value(read(read_meminfo), "MemFree"), 0U);
}

TEST_F(MemoryFiles, PartsNeverAddUpToMoreThanAll) {
  limit_512_mib();
  // Read a moment after the sum: 300 MiB are used by now.
  v1("memory", "memory.stat", join("total_cache ", 200 * kMiB, "\ntotal_rss ", 100 * kMiB, "\n"));
  const std::string text = read(read_meminfo);
  EXPECT_EQ(meminfo_value(text, "MemFree"), 212U * 1024);
  v1("memory", "memory.stat", join("total_cache ", 500 * kMiB, "\ntotal_rss ", 400 * kMiB, "\n"));
  const std::string more = read(read_meminfo);
  EXPECT_EQ(meminfo_value(more, "MemFree"), 0U);
  EXPECT_EQ(meminfo_value(more, "AnonPages") + meminfo_value(more, "Cached"), 512U * 1024);
}

TEST_F(MemoryFiles, MeminfoOfVersionTwoHasEveryPart) {
  files_.set("proc/meminfo", kMeminfoOf612);
  use_cgroup_v2();
  v2("memory.max", join(1024 * kMiB, "\n"));
  v2("memory.current", join(700 * kMiB, "\n"));
  v2("memory.swap.max", join(256 * kMiB, "\n"));
  v2("memory.swap.current", join(16 * kMiB, "\n"));
  v2("memory.stat", kMemoryStatOf612);
  const std::string text = read(read_meminfo);
  const auto mib = [&text](std::string_view name) { return meminfo_value(text, name) / 1024; };
  EXPECT_EQ(mib("MemTotal"), 1024U);
  EXPECT_EQ(mib("MemFree"), 324U);
  EXPECT_EQ(mib("MemAvailable"), 324 + 200 + 40U);
  EXPECT_EQ(mib("Cached"), 210 - 2U);
  EXPECT_EQ(mib("SwapCached"), 2U);
  EXPECT_EQ(mib("SwapTotal"), 256U);
  EXPECT_EQ(mib("SwapFree"), 240U);
  EXPECT_EQ(mib("Zswap"), 4U);
  EXPECT_EQ(mib("Zswapped"), 12U);
  EXPECT_EQ(mib("Slab"), 60U);
  EXPECT_EQ(mib("SReclaimable"), 40U);
  EXPECT_EQ(mib("SecPageTables"), 1U);
  EXPECT_EQ(mib("VmallocUsed"), 3U);
  EXPECT_EQ(mib("AnonHugePages"), 64U);
  EXPECT_EQ(mib("FileHugePages"), 8U);
  EXPECT_EQ(mib("CommitLimit"), 512 + 256U);
  EXPECT_EQ(mib("Committed_AS"), 350 + 10 + 16U);
  EXPECT_EQ(mib("DirectMap4k"), 1024U);
  EXPECT_EQ(mib("DirectMap1G"), 0U);
  EXPECT_EQ(meminfo_value(text, "HugePages_Total"), 0U);
}

TEST_F(MemoryFiles, SwapFollowsTheSmallestLimitOnTheWayUp) {
  use_cgroup_v2();
  v2("memory.stat", "");
  v2("memory.swap.max", join(64 * kMiB, "\n"));
  v2("memory.swap.current", join(8 * kMiB, "\n"));
  v2("memory.max", join(32 * kMiB, "\n"), "/inner");
  v2("memory.swap.max", "max\n", "/inner");
  v2("memory.swap.current", join(kMiB, "\n"), "/inner");
  v2("memory.stat", "", "/inner");
  requester(9, "0::/box/inner\n", 2);
  const std::string text = read(read_meminfo);
  EXPECT_EQ(meminfo_value(text, "MemTotal"), 32U * 1024);
  EXPECT_EQ(meminfo_value(text, "SwapTotal"), 64U * 1024);
  EXPECT_EQ(meminfo_value(text, "SwapFree"), 56U * 1024);
  v2("memory.swap.max", join(4 * kMiB, "\n"), "/inner");
  EXPECT_EQ(meminfo_value(read(read_meminfo), "SwapFree"), 3U * 1024);
}

TEST_F(MemoryFiles, HugePagesAreThoseThatALimitGives) {
  files_.set("proc/meminfo",
             "MemTotal: 8388608 kB\nHugePages_Total:      16\nHugePages_Free:       12\n"
             "Hugepagesize:       2048 kB\nHugetlb:           32768 kB\n");
  use_cgroup_v2();
  v2("memory.stat", "");
  v2("hugetlb.2MB.max", "max\n");
  EXPECT_EQ(meminfo_value(read(read_meminfo), "HugePages_Total"), 0U);
  v2("hugetlb.2MB.max", join(16 * kMiB, "\n"));
  v2("hugetlb.2MB.current", join(4 * kMiB, "\n"));
  const std::string text = read(read_meminfo);
  EXPECT_EQ(meminfo_value(text, "HugePages_Total"), 8U);
  EXPECT_EQ(meminfo_value(text, "HugePages_Free"), 6U);
  EXPECT_EQ(meminfo_value(text, "Hugetlb"), 16384U);
}

TEST_F(MemoryFiles, SysinfoAgreesWithTheFiles) {
  limit_512_mib();
  v1("memory", "memory.memsw.limit_in_bytes", join(768 * kMiB, "\n"));
  v1("memory", "memory.memsw.usage_in_bytes", join(210 * kMiB, "\n"));
  v1("pids", "pids.current", "7\n");
  advance(61.5);
  const auto told = system_information(view());
  ASSERT_TRUE(told.ok());
  const std::string meminfo = read(read_meminfo);
  EXPECT_EQ(told.value().total_bytes / 1024, meminfo_value(meminfo, "MemTotal"));
  EXPECT_EQ(told.value().free_bytes / 1024, meminfo_value(meminfo, "MemFree"));
  EXPECT_EQ(told.value().shared_bytes / 1024, meminfo_value(meminfo, "Shmem"));
  EXPECT_EQ(told.value().buffer_bytes / 1024, meminfo_value(meminfo, "Buffers"));
  EXPECT_EQ(told.value().swap_total_bytes / 1024, meminfo_value(meminfo, "SwapTotal"));
  EXPECT_EQ(told.value().swap_total_bytes, 256 * kMiB);
  EXPECT_EQ(told.value().swap_free_bytes, 246 * kMiB);
  EXPECT_EQ(told.value().uptime_seconds, 62U);  // rounded up, as by the kernel
  EXPECT_EQ(told.value().processes, 7U);
}

TEST_F(MemoryFiles, SwapsIsAHeaderWithoutSwap) {
  use_cgroup_v2();
  v2("memory.stat", "");
  v2("memory.swap.max", "0\n");
  EXPECT_EQ(read(read_swaps), "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
}

TEST_F(MemoryFiles, SwapsIsOneLineWithSwap) {
  use_cgroup_v2();
  v2("memory.stat", "");
  v2("memory.swap.max", join(64 * kMiB, "\n"));
  v2("memory.swap.current", join(kMiB, "\n"));
  EXPECT_THAT(read(read_swaps), HasSubstr("virtual\t\t65536\t\t1024\t\t0\n"));
  const std::string text = read(read_meminfo);
  EXPECT_EQ(meminfo_value(text, "SwapTotal"), 65536U);
  EXPECT_EQ(meminfo_value(text, "SwapFree"), 64512U);
}

TEST_F(MemoryFiles, VmstatHasTheHostsNames) {
  limit_512_mib();
  files_.set("proc/vmstat", "nr_free_pages 1061020\nnr_foo 17\npgfault 123456\n");
  EXPECT_EQ(read(read_vmstat), join("nr_free_pages ", 312 * 256, "\nnr_foo 0\npgfault 77\n"));
}

}  // namespace
}  // namespace sysbox::fs

// The readers of files/ that tell about memory.

#include <gmock/gmock.h>

#include "fs-emulator/memory_figures.h"
#include "fs-emulator/text_fields.h"
#include "tests/unit/fs-emulator/container_fixture.h"

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

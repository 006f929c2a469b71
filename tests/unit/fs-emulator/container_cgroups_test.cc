#include "fs-emulator/container_cgroups.h"

#include <gmock/gmock.h>

#include "tests/unit/fs-emulator/container_fixture.h"

namespace sysbox::fs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Cgroups : public ContainerFixture {
 protected:
  std::vector<std::string> level_names(const char* controller, const CgroupMembership& process) {
    const Result<CgroupLevels> levels = cgroups_->levels(controller, &process);
    EXPECT_TRUE(levels.ok());
    std::vector<std::string> names;
    for (const CgroupLevel& level : levels.value().levels) names.push_back(level.name);
    return names;
  }
};

TEST_F(Cgroups, LevelsGoFromTheProcessUpToTheContainer) {
  use_cgroup_v1();
  v1("memory", "x", "", "/a/b");
  EXPECT_THAT(level_names("memory", {{"memory", "/box/a/b"}}), ElementsAre("/a/b", "/a", ""));
}

TEST_F(Cgroups, AProcessOutsideTheContainerSeesTheContainersOwn) {
  use_cgroup_v1();
  v1("memory", "x", "", "/a");
  EXPECT_THAT(level_names("memory", {{"memory", "/elsewhere/a"}}), ElementsAre(""));
  EXPECT_THAT(level_names("memory", {{"memory", "/boxed/a"}}), ElementsAre(""));
  EXPECT_THAT(level_names("memory", {{"memory", "/box/../other"}}), ElementsAre(""));
  EXPECT_THAT(level_names("memory", {{"cpu", "/box/a"}}), ElementsAre(""));
}

TEST_F(Cgroups, InitInADelegatedChildDoesNotMoveTheContainersOwnDirectory) {
  std::string pattern = "/tmp/cgroups_test.XXXXXX";
  const std::string top = ::mkdtemp(pattern.data());
  const std::string own = top + "/docker/abc";
  std::filesystem::create_directories(own + "/delegated/docker/inner");
  ContainerCgroups cgroups({{"memory", own}});
  cgroups.learn_own_paths({{"memory", "/docker/abc/delegated"}});
  const CgroupMembership inner = {{"memory", "/docker/abc/delegated/docker/inner"}};
  const CgroupLevels levels = cgroups.levels("memory", &inner).value();
  ASSERT_EQ(levels.levels.size(), 4U);
  EXPECT_EQ(levels.levels.front().name, "/delegated/docker/inner");
  EXPECT_EQ(levels.levels.back().name, "");
  std::filesystem::remove_all(top);
}

TEST_F(Cgroups, LevelsThatAreGoneAreLeftOut) {
  use_cgroup_v1();
  v1("memory", "x", "", "/a");
  EXPECT_THAT(level_names("memory", {{"memory", "/box/a/gone"}}), ElementsAre("/a", ""));
}

TEST_F(Cgroups, NestingTooDeepShowsTheContainersOwn) {
  use_cgroup_v1();
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "/d";
  v1("memory", "x", "", deep);
  EXPECT_THAT(level_names("memory", {{"memory", "/box" + deep}}), ElementsAre(""));
}

TEST_F(Cgroups, ControllersMayShareAHierarchy) {
  directories_["cpu,cpuacct"] = files_.path();
  own_["cpu,cpuacct"] = "/";
  make_cgroups();
  EXPECT_TRUE(cgroups_->levels("cpuacct", nullptr).ok());
  EXPECT_EQ(cgroups_->levels("memory", nullptr).error().code(), ENOENT);
}

TEST_F(Cgroups, MemoryLimitIsTheSmallestOnTheWayUp) {
  use_cgroup_v1();
  for (const char* below : {"", "/a", "/a/b"}) v1("memory", "memory.stat", "", below);
  v1("memory", "memory.limit_in_bytes", "1000000\n");
  v1("memory", "memory.usage_in_bytes", "5000\n");
  v1("memory", "memory.limit_in_bytes", "400000\n", "/a");
  v1("memory", "memory.usage_in_bytes", "300\n", "/a");
  v1("memory", "memory.limit_in_bytes", "9223372036854771712\n", "/a/b");
  const CgroupMembership process = {{"memory", "/box/a/b"}};
  const auto levels = cgroups_->levels("memory", &process);
  const Result<MemoryUse> use = read_memory_use(levels.value());
  ASSERT_TRUE(use.ok());
  EXPECT_EQ(use.value().limit_bytes, 400000U);
  EXPECT_EQ(use.value().usage_bytes, 300U);
}

TEST_F(Cgroups, VersionTwoMemoryWithSwap) {
  use_cgroup_v2();
  v2("memory.max", "max\n");
  v2("memory.current", "7000\n");
  v2("memory.swap.max", "4096\n");
  v2("memory.swap.current", "1024\n");
  v2("memory.stat", "anon 1000\nfile 2000\nslab_reclaimable 300\nunknown_line 9\n");
  const auto levels = cgroups_->levels("memory", nullptr);
  const MemoryUse use = read_memory_use(levels.value()).value();
  EXPECT_EQ(use.limit_bytes, std::nullopt);
  EXPECT_EQ(use.usage_bytes, 7000U);
  EXPECT_EQ(use.swap_limit_bytes, 4096U);
  EXPECT_EQ(use.swap_usage_bytes, 1024U);
  EXPECT_EQ(use.stat.anon, 1000U);
  EXPECT_EQ(use.stat.file, 2000U);
  EXPECT_EQ(use.stat.slab_reclaimable, 300U);
}

TEST_F(Cgroups, VersionOneSwapIsWhatIsBeyondMemory) {
  use_cgroup_v1();
  v1("memory", "memory.limit_in_bytes", "1000\n");
  v1("memory", "memory.usage_in_bytes", "400\n");
  v1("memory", "memory.memsw.limit_in_bytes", "1500\n");
  v1("memory", "memory.memsw.usage_in_bytes", "450\n");
  v1("memory", "memory.stat", "cache 1\ntotal_cache 77\n");
  const auto levels = cgroups_->levels("memory", nullptr);
  const MemoryUse use = read_memory_use(levels.value()).value();
  EXPECT_EQ(use.swap_limit_bytes, 500U);
  EXPECT_EQ(use.swap_usage_bytes, 50U);
  EXPECT_EQ(use.stat.file, 77U);
}

TEST_F(Cgroups, QuotaOfVersionOne) {
  use_cgroup_v1();
  v1("cpu", "cpu.cfs_quota_us", "-1\n");
  v1("cpu", "cpu.cfs_period_us", "100000\n");
  const auto levels = cgroups_->levels("cpu", nullptr);
  EXPECT_EQ(read_cpu_quota(levels.value()).cpus, std::nullopt);
  v1("cpu", "cpu.cfs_quota_us", "150000\n");
  EXPECT_EQ(read_cpu_quota(levels.value()).cpus, 1.5);
}

TEST_F(Cgroups, QuotaOfVersionTwoNamesItsLevel) {
  use_cgroup_v2();
  v2("cpu.max", "max 100000\n");
  v2("cpu.max", "50000 100000\n", "/inner");
  const CgroupMembership process = {{"", "/box/inner"}};
  const auto levels = cgroups_->levels("cpu", &process);
  const CpuQuota quota = read_cpu_quota(levels.value());
  EXPECT_EQ(quota.cpus, 0.5);
  EXPECT_EQ(quota.level, "/inner");
}

TEST_F(Cgroups, CpuSetComesFromTheNearestLevelThatHasOne) {
  use_cgroup_v2();
  v2("cpuset.cpus.effective", "2-3\n");
  v2("x", "", "/inner");
  const CgroupMembership process = {{"", "/box/inner"}};
  const auto levels = cgroups_->levels("cpuset", &process);
  EXPECT_THAT(read_cpu_set(levels.value()), ElementsAre(2, 3));
  v2("cpuset.cpus.effective", "\n");
  EXPECT_THAT(read_cpu_set(levels.value()), IsEmpty());
}

TEST_F(Cgroups, TimesOfBothVersionsAreNanoseconds) {
  use_cgroup_v1();
  v1("cpuacct", "cpuacct.usage_user", "5000\n");
  v1("cpuacct", "cpuacct.usage_sys", "6000\n");
  v1("cpu", "cpu.stat", "nr_periods 1\nthrottled_time 99\n");
  const auto one = cgroups_->levels("cpuacct", nullptr);
  EXPECT_EQ(read_cpu_times(one.value(), "").value().user_ns, 5000U);
  EXPECT_EQ(read_cpu_times(one.value(), "/gone").value().system_ns, 6000U);
  EXPECT_EQ(read_throttled_ns(cgroups_->levels("cpu", nullptr).value(), ""), 99U);

  directories_.clear();
  use_cgroup_v2();
  v2("cpu.stat", "usage_usec 9\nuser_usec 4\nsystem_usec 5\nthrottled_usec 3\n");
  const auto two = cgroups_->levels("cpuacct", nullptr);
  EXPECT_EQ(read_cpu_times(two.value(), "").value().user_ns, 4000U);
  EXPECT_EQ(read_throttled_ns(two.value(), ""), 3000U);
}

}  // namespace
}  // namespace sysbox::fs

#include "fs-emulator/container_view.h"

#include <gmock/gmock.h>

#include "tests/unit/fs-emulator/container_fixture.h"

namespace sysbox::fs {
namespace {

using ::testing::ElementsAre;

class View : public ContainerFixture {};

TEST_F(View, CpusAreTheHostsWithoutLimits) {
  EXPECT_THAT(view().cpus().host_cpus, ElementsAre(0, 1, 2, 3));
}

TEST_F(View, CpusAreTheQuotaRoundedUpWithinTheSet) {
  use_cgroup_v1();
  v1("cpuset", "cpuset.effective_cpus", "1,2,3\n");
  EXPECT_THAT(view().cpus().host_cpus, ElementsAre(1, 2, 3));
  v1("cpu", "cpu.cfs_period_us", "100000\n");
  v1("cpu", "cpu.cfs_quota_us", "150000\n");
  EXPECT_THAT(view().cpus().host_cpus, ElementsAre(1, 2));
  v1("cpu", "cpu.cfs_quota_us", "1000\n");
  EXPECT_THAT(view().cpus().host_cpus, ElementsAre(1));
  v1("cpu", "cpu.cfs_quota_us", "900000\n");
  EXPECT_THAT(view().cpus().host_cpus, ElementsAre(1, 2, 3));
}

TEST_F(View, ANestedContainerHasItsOwnLimits) {
  use_cgroup_v2();
  v2("cpu.max", "200000 100000\n");
  v2("cpu.max", "100000 100000\n", "/docker/inner");
  v2("memory.max", "1048576\n");
  v2("memory.stat", "");
  v2("memory.max", "524288\n", "/docker/inner");
  v2("memory.stat", "", "/docker/inner");
  EXPECT_EQ(view().cpus().host_cpus.size(), 2U);
  EXPECT_EQ(view().memory().value().limit_bytes, 1048576U);
  requester(77, "0::/box/docker/inner\n", 12);
  EXPECT_EQ(view().cpus().host_cpus.size(), 1U);
  EXPECT_EQ(view().memory().value().limit_bytes, 524288U);
}

TEST_F(View, ARequesterThatIsGoneSeesTheContainersOwn) {
  use_cgroup_v2();
  v2("memory.max", "1048576\n");
  v2("memory.stat", "");
  requester_ = 4242;
  EXPECT_EQ(view().memory().value().limit_bytes, 1048576U);
}

}  // namespace
}  // namespace sysbox::fs

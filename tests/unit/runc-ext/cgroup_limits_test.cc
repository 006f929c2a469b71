#include <filesystem>
#include <fstream>
#include <thread>

#include "runc-ext/cgroup/device_program.h"
#include "runc-ext/cgroup/device_rules.h"
#include "tests/unit/runc-ext/real_cgroup.h"

namespace sysbox::runc {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// --- limits on v1 ---

TEST_F(RealCgroup, V1LimitsAreWrittenAndShownInside) {
  SKIP_WITHOUT_V1("memory");
  OciResources resources;
  resources.memory.limit = 64 * kMiB;
  resources.memory.reservation = 32 * kMiB;
  resources.memory.swap = 128 * kMiB;
  resources.cpu.shares = 512;
  resources.cpu.quota = 50000;
  resources.cpu.period = 100000;
  resources.cpu.cpus = "0";
  resources.pids_limit = 50;
  start(resources);
  for (const std::string& memory : {v1("memory"), delegated("memory")}) {
    EXPECT_EQ(read_line(memory + "/memory.limit_in_bytes"), std::to_string(64 * kMiB));
    EXPECT_EQ(read_line(memory + "/memory.memsw.limit_in_bytes"), std::to_string(128 * kMiB));
    EXPECT_EQ(read_line(memory + "/memory.soft_limit_in_bytes"), std::to_string(32 * kMiB));
  }
  for (const std::string& cpu : {v1("cpu"), delegated("cpu")}) {
    EXPECT_EQ(read_line(cpu + "/cpu.shares"), "512");
    EXPECT_EQ(read_line(cpu + "/cpu.cfs_quota_us"), "50000");
    EXPECT_EQ(read_line(cpu + "/cpu.cfs_period_us"), "100000");
  }
  EXPECT_EQ(read_line(v1("cpuset") + "/cpuset.cpus"), "0");
  EXPECT_EQ(read_line(delegated("cpuset") + "/cpuset.cpus"), "0");
  EXPECT_EQ(read_line(delegated("pids") + "/pids.max"), "50");
}

TEST_F(RealCgroup, V1MemoryIsRaisedAndLoweredTogetherWithSwap) {
  SKIP_WITHOUT_V1("memory");
  start();
  for (const std::int64_t size : {64 * kMiB, 256 * kMiB, 32 * kMiB}) {
    OciResources resources;
    resources.memory.limit = size;
    resources.memory.swap = size;
    ASSERT_EQ(message_of(again().update(resources)), "no error");
    for (const std::string& memory : {v1("memory"), delegated("memory")}) {
      EXPECT_EQ(read_line(memory + "/memory.limit_in_bytes"), std::to_string(size));
      EXPECT_EQ(read_line(memory + "/memory.memsw.limit_in_bytes"), std::to_string(size));
    }
  }
  OciResources unlimited;
  unlimited.memory.limit = -1;
  ASSERT_EQ(message_of(again().update(unlimited)), "no error");
  EXPECT_GT(std::stoll(read_line(v1("memory") + "/memory.memsw.limit_in_bytes")), 1LL << 50);
}

TEST_F(RealCgroup, V1SwapBelowMemoryIsAnErrorThatNamesFileAndValue) {
  SKIP_WITHOUT_V1("memory");
  ASSERT_TRUE(cgroup_.create());
  OciResources resources;
  resources.memory.limit = 64 * kMiB;
  resources.memory.swap = 32 * kMiB;
  const Result<void> applied = cgroup_.apply(resources);
  ASSERT_FALSE(applied);
  EXPECT_THAT(applied.error().message(), HasSubstr("memory.memsw.limit_in_bytes"));
  EXPECT_THAT(applied.error().message(), HasSubstr(std::to_string(32 * kMiB)));
}

TEST_F(RealCgroup, V1QuotaCanBeLoweredBelowWhatTheContainerGaveItsOwnCgroups) {
  SKIP_WITHOUT_V1("cpu");
  OciResources resources;
  resources.cpu.quota = 100000;
  resources.cpu.period = 100000;
  start(resources);
  const std::string nested = delegated("cpu") + "/nested";
  ASSERT_EQ(::mkdir(nested.c_str(), 0755), 0);
  ASSERT_TRUE(sys::write_file(nested + "/cpu.cfs_quota_us", "80000"));
  resources.cpu.quota = 50000;
  ASSERT_EQ(message_of(again().update(resources)), "no error");
  EXPECT_EQ(read_line(v1("cpu") + "/cpu.cfs_quota_us"), "50000");
  EXPECT_EQ(read_line(delegated("cpu") + "/cpu.cfs_quota_us"), "50000");
  resources.cpu.quota = 150000;
  ASSERT_EQ(message_of(again().update(resources)), "no error");
  EXPECT_EQ(read_line(delegated("cpu") + "/cpu.cfs_quota_us"), "150000");
}

TEST_F(RealCgroup, V1CpusetOfUsedCgroupsMovesToOtherCpus) {
  SKIP_WITHOUT_V1("cpuset");
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "needs two cpus";
  OciResources resources;
  resources.cpu.cpus = "0";
  start(resources);
  const Child child;
  ASSERT_EQ(message_of(move_inside(child.pid())), "no error");
  for (const char* cpus : {"1", "0-1", "0"}) {
    resources.cpu.cpus = cpus;
    ASSERT_EQ(message_of(again().update(resources)), "no error") << cpus;
    EXPECT_EQ(read_line(v1("cpuset") + "/cpuset.cpus"), cpus);
    EXPECT_EQ(read_line(delegated("cpuset") + "/cpuset.cpus"), cpus);
  }
  resources.cpu.cpus = "4000";
  EXPECT_FALSE(again().update(resources));
}

TEST_F(RealCgroup, V1ThrottlesKeepTheHierarchyFromBeingDelegated) {
  SKIP_WITHOUT_V1("blkio");
  std::ifstream disk("/sys/block/vda/dev");
  std::string number;
  if (!(disk >> number)) GTEST_SKIP() << "no disk vda";
  OciBlockIoDevice device;
  device.major = std::stoi(number);
  device.minor = std::stoi(number.substr(number.find(':') + 1));
  device.rate = 1 << 20;
  OciResources resources;
  resources.block_io.throttle_read_bps.push_back(device);
  start(resources);
  EXPECT_EQ(read_line(v1("blkio") + "/blkio.throttle.read_bps_device"), number + " 1048576");
  EXPECT_EQ(delegated("blkio"), "(not delegated)");
  const Child child;
  ASSERT_EQ(message_of(move_inside(child.pid())), "no error");
  EXPECT_THAT(processes_below(v1("blkio")).value(), ElementsAre(child.pid()));
}

TEST_F(RealCgroup, ZerosOfEnginesAreNoLimits) {
  OciResources resources;
  resources.memory.limit = 0;
  resources.memory.swap = 0;
  resources.memory.disable_oom_killer = false;
  resources.cpu.shares = 0;
  resources.cpu.quota = 0;
  resources.cpu.period = 0;
  resources.block_io.weight = std::uint16_t{0};
  resources.pids_limit = 0;
  resources.hugepage_limits.push_back({"2MB", 0});
  start(resources);
}

TEST_F(RealCgroup, LimitWithoutItsControllerIsNamed) {
  std::erase_if(host_.hierarchies, [](const CgroupHierarchy& each) {
    return each.v2 || std::find(each.controllers.begin(), each.controllers.end(), "cpu") !=
                          each.controllers.end();
  });
  if (host_.hierarchies.empty()) GTEST_SKIP() << "pure v2";
  cgroup_ = planned("box");
  ASSERT_TRUE(cgroup_.create());
  OciResources resources;
  resources.cpu.shares = 512;
  EXPECT_EQ(message_of(cgroup_.apply(resources)), "cpu limit: the host has no cpu controller");
}

// --- devices ---

OciDeviceRule rule(bool allow, char type, std::int64_t major, std::int64_t minor,
                   const std::string& access = "rwm") {
  return {allow, type, major, minor, access};
}

std::vector<std::string> texts(const DeviceRules& rules) {
  std::vector<std::string> out;
  for (const DeviceException& each : rules.exceptions) out.push_back(device_rule_text(each));
  return out;
}

TEST(DeviceRules, DenyAllKeepsTheDefaultDevices) {
  const DeviceRules rules =
      reduce_device_rules({rule(true, 'b', 8, 0), {false, 'a', {}, {}, "rwm"}}).value();
  EXPECT_FALSE(rules.allow_by_default);
  EXPECT_THAT(texts(rules), Contains("c 1:3 rwm"));
  EXPECT_THAT(texts(rules), Contains("c *:* m"));
  EXPECT_THAT(texts(rules), Contains("c 136:* rwm"));
  EXPECT_THAT(texts(rules), Not(Contains("b 8:0 rwm")));
}

TEST(DeviceRules, RulesOfTheSameDeviceAddUp) {
  const DeviceRules rules =
      reduce_device_rules({rule(true, 'b', 8, 0, "m"), rule(true, 'b', 8, 0, "r")}).value();
  EXPECT_THAT(texts(rules), Contains("b 8:0 rm"));
}

TEST(DeviceRules, AllowAllTakesOnlyDenials) {
  const DeviceRules rules =
      reduce_device_rules({{true, 'a', {}, {}, "rwm"}, rule(false, 'b', 8, 0, "w")}).value();
  EXPECT_TRUE(rules.allow_by_default);
  EXPECT_THAT(texts(rules), ElementsAre("b 8:0 w"));
}

TEST(DeviceRules, PartOfAWildcardCannotBeTakenBack) {
  const Result<DeviceRules> rules =
      reduce_device_rules({rule(true, 'b', 8, -1), rule(false, 'b', 8, 1)});
  ASSERT_FALSE(rules);
  EXPECT_THAT(rules.error().message(), HasSubstr("b 8:1 rwm"));
}

TEST(DeviceRules, NonsenseIsRefused) {
  EXPECT_FALSE(reduce_device_rules({rule(true, 'x', 1, 1)}));
  EXPECT_FALSE(reduce_device_rules({rule(true, 'c', 1, 1, "rq")}));
}

constexpr int kDeviceTestFailed = 255;

TEST_F(RealCgroup, V1DeviceRulesHoldAndAnUpdateLeavesThem) {
  SKIP_WITHOUT_V1("devices");
  OciResources resources;
  resources.devices = {{false, 'a', {}, {}, "rwm"}, rule(true, 'c', 1, 11, "w")};
  start(resources);
  const CgroupEntrance entrance = cgroup_.open_entrance().value();
  const auto try_open = [&entrance](const char* path) {
    return exit_code_of([&entrance, path] {
      return entrance.enter(BornInLeaf::kNo) ? open_errno(path) : kDeviceTestFailed;
    });
  };
  EXPECT_EQ(try_open("/dev/null"), 0);
  EXPECT_EQ(try_open("/dev/kmsg"), EPERM);  // writing only
  resources.devices = {{true, 'a', {}, {}, "rwm"}};
  resources.pids_limit = 100;
  ASSERT_EQ(message_of(again().update(resources)), "no error");
  EXPECT_EQ(try_open("/dev/kmsg"), EPERM);
}

TEST_F(RealCgroup, V2DeviceProgramHoldsAndIsReplaced) {
  SKIP_WITHOUT_V2();
  // Only the v2 hierarchy: then the rules are a program, on a hybrid host too.
  std::erase_if(host_.hierarchies, [](const CgroupHierarchy& each) { return !each.v2; });
  cgroup_ = planned("box");
  OciResources resources;
  resources.devices = {{false, 'a', {}, {}, "rwm"}, rule(true, 'c', 1, 11, "w")};
  start(resources);
  const CgroupEntrance entrance = cgroup_.open_entrance().value();
  const auto try_open = [&entrance](const char* path) {
    return exit_code_of([path] { return open_errno(path); }, entrance.clone_into_fd());
  };
  EXPECT_EQ(try_open("/dev/null"), 0);
  EXPECT_EQ(try_open("/dev/kmsg"), EPERM);  // writing only
  const auto replace = [this](const std::vector<OciDeviceRule>& rules) {
    return attach_device_program(v2(), reduce_device_rules(rules).value());
  };
  resources.devices.push_back(rule(true, 'c', 1, 11, "r"));
  ASSERT_EQ(message_of(replace(resources.devices)), "no error");
  EXPECT_EQ(try_open("/dev/kmsg"), 0);
  resources.devices = {{true, 'a', {}, {}, "rwm"}, rule(false, 'c', 1, 3, "r")};
  ASSERT_EQ(message_of(replace(resources.devices)), "no error");
  EXPECT_EQ(try_open("/dev/null"), EPERM);
  EXPECT_EQ(try_open("/dev/kmsg"), 0);
  EXPECT_EQ(try_open("/dev/zero"), 0);
}

// --- values for v2, into files of a plain directory ---

class V2Values : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sysbox-cgroup-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    make("cgroup.controllers", "cpu memory\n");
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void make(const std::string& file, const std::string& content = "") {
    std::ofstream(directory_ + "/" + file) << content;
  }
  // Applies to the given empty files.
  Result<void> apply(const OciResources& resources, const std::vector<std::string>& files) {
    for (const std::string& file : files) {
      if (!std::filesystem::exists(directory_ + "/" + file)) make(file);
    }
    CgroupState state;
    state.directories[""] = directory_;
    return Cgroup::from_state(state).update(resources);
  }
  std::string value(const std::string& file) const { return read_line(directory_ + "/" + file); }

  std::string directory_;
};

TEST_F(V2Values, MemoryAndSwapAreCountedApart) {
  OciResources resources;
  resources.memory.limit = 64 * kMiB;
  resources.memory.swap = 96 * kMiB;
  resources.memory.reservation = 32 * kMiB;
  ASSERT_TRUE(apply(resources, {"memory.max", "memory.swap.max", "memory.low"}));
  EXPECT_EQ(value("memory.max"), std::to_string(64 * kMiB));
  EXPECT_EQ(value("memory.swap.max"), std::to_string(32 * kMiB));
  EXPECT_EQ(value("memory.low"), std::to_string(32 * kMiB));
}

TEST_F(V2Values, UnlimitedIsMax) {
  OciResources resources;
  resources.memory.limit = -1;
  resources.cpu.quota = -1;
  resources.cpu.period = 50000;
  resources.pids_limit = -1;
  ASSERT_TRUE(apply(resources, {"memory.max", "memory.swap.max", "cpu.max", "pids.max"}));
  EXPECT_EQ(value("memory.max"), "max");
  EXPECT_EQ(value("memory.swap.max"), "max");
  EXPECT_EQ(value("cpu.max"), "max 50000");
  EXPECT_EQ(value("pids.max"), "max");
}

TEST_F(V2Values, NoSwapIsFineWhereTheKernelHasNone) {
  OciResources resources;
  resources.memory.limit = 64 * kMiB;
  resources.memory.swap = 64 * kMiB;
  EXPECT_TRUE(apply(resources, {"memory.max"}));
  resources.memory.swap = 65 * kMiB;
  EXPECT_FALSE(apply(resources, {"memory.max"}));
  resources.memory.swap = 1;
  EXPECT_THAT(message_of(apply(resources, {"memory.max"})), HasSubstr("less than"));
}

TEST_F(V2Values, LimitBelowWhatIsInUseIsRejectedIfAsked) {
  make("memory.current", "5000000\n");
  OciResources resources;
  resources.memory.limit = 1024;
  resources.memory.check_before_update = true;
  const std::vector<std::string> files = {"memory.max", "memory.swap.max"};
  EXPECT_THAT(message_of(apply(resources, files)), HasSubstr("rejecting memory limit"));
  resources.memory.swap = 2048;
  EXPECT_THAT(message_of(apply(resources, files)), HasSubstr("rejecting memory+swap limit"));
  resources.memory.check_before_update = false;
  EXPECT_EQ(message_of(apply(resources, files)), "no error");
  EXPECT_EQ(value("memory.max"), "1024");
}

TEST_F(V2Values, SwapLimitNeedsAMemoryLimit) {
  make("memory.max", "max\n");
  OciResources resources;
  resources.memory.swap = 64 * kMiB;
  EXPECT_THAT(message_of(apply(resources, {"memory.swap.max"})), HasSubstr("without memory limit"));
}

TEST_F(V2Values, SharesBecomeWeight) {
  for (const auto& [shares, weight] : {std::pair<std::uint64_t, const char*>{1, "1"},
                                       {2, "1"},
                                       {1024, "100"},
                                       {100, "17"},
                                       {3333, "256"},
                                       {262144, "10000"}}) {
    OciResources resources;
    resources.cpu.shares = shares;
    make("cpu.weight");  // a plain file keeps the tail of a longer value
    ASSERT_TRUE(apply(resources, {}));
    EXPECT_EQ(value("cpu.weight"), weight);
  }
}

TEST_F(V2Values, PeriodAloneKeepsTheQuota) {
  make("cpu.max", "40000 100000\n");
  OciResources resources;
  resources.cpu.period = 200000;
  ASSERT_TRUE(apply(resources, {}));
  EXPECT_EQ(value("cpu.max"), "40000 200000");
}

TEST_F(V2Values, BlockIoAndHugePages) {
  OciResources resources;
  resources.block_io.weight = std::uint16_t{500};
  OciBlockIoDevice device;
  device.major = 8;
  device.rate = 1000;
  resources.block_io.throttle_write_iops = {device};
  resources.hugepage_limits = {{"2MB", 4096}};
  resources.rdma["mlx5_1"] = {3, {}};
  ASSERT_TRUE(apply(
      resources, {"io.weight", "io.max", "hugetlb.2MB.max", "hugetlb.2MB.rsvd.max", "rdma.max"}));
  EXPECT_EQ(value("io.weight"), "4950");
  EXPECT_EQ(value("io.max"), "8:0 wiops=1000");
  EXPECT_EQ(value("hugetlb.2MB.max"), "4096");
  EXPECT_EQ(value("hugetlb.2MB.rsvd.max"), "4096");
  EXPECT_EQ(value("rdma.max"), "mlx5_1 hca_handle=3");
}

TEST_F(V2Values, WeightsOfDevicesGoWhereTheyAreKnown) {
  OciResources resources;
  OciBlockIoDevice device;
  device.major = 8;
  device.weight = std::uint16_t{444};
  resources.block_io.weight_device = {device};
  EXPECT_EQ(message_of(apply(resources, {})), "no error");  // no scheduler with weights
  make("io.bfq.weight", "100\n");
  EXPECT_EQ(message_of(apply(resources, {})), "no error");
  EXPECT_EQ(value("io.bfq.weight"), "100");
  make("io.bfq.weight", "default 100\n");
  EXPECT_EQ(message_of(apply(resources, {})), "no error");
  EXPECT_EQ(value("io.bfq.weight").substr(0, 7), "8:0 444");
}

TEST_F(V2Values, UnifiedFilesAreWrittenAsTheyAre) {
  OciResources resources;
  resources.unified = {{"memory.high", "1000"}, {"memory.oom.group", "1"}};
  ASSERT_TRUE(apply(resources, {"memory.high", "memory.oom.group"}));
  EXPECT_EQ(value("memory.high"), "1000");
  EXPECT_EQ(value("memory.oom.group"), "1");
  for (const char* name : {"../memory.max", "", ".", ".."}) {
    resources.unified = {{name, "1"}};
    const Result<void> applied = apply(resources, {});
    ASSERT_FALSE(applied) << name;
    EXPECT_EQ(applied.error().code(), EINVAL);
  }
}

TEST_F(V2Values, MissingControllerAndMissingFileAreToldApart) {
  OciResources resources;
  resources.pids_limit = 5;
  EXPECT_THAT(message_of(apply(resources, {})), HasSubstr("no pids controller"));
  resources = {};
  resources.unified = {{"memory.newest", "1"}};
  EXPECT_THAT(message_of(apply(resources, {})), HasSubstr("not supported by this kernel"));
  resources = {};
  resources.network_class_id = 5;
  resources.cpu.realtime_runtime = 5;
  EXPECT_EQ(message_of(apply(resources, {})), "no error");  // v2 never has it
  resources = {};
  resources.pids_limit = -1;  // no limit needs no controller
  EXPECT_TRUE(apply(resources, {}));
}

}  // namespace
}  // namespace sysbox::runc

// `update`: what its flags and files mean, and what is kept of a container's limits.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runc-ext/cgroup/resource_update.h"
#include "runc-ext/commands/duration.h"
#include "runc-ext/commands/update_flags.h"
#include "runc-ext/oci/resources_json.h"

namespace sysbox::runc {
namespace {

using ::testing::HasSubstr;

OciResources parsed(const char* text) {
  return parse_resources(nlohmann::json::parse(text), "resources").value();
}

TEST(UpdateFlags, EachMeansAMemberOfResources) {
  UpdateFlags flags;
  flags.cpu_period = "900000";
  flags.cpu_quota = "-1";
  flags.cpu_burst = "0";
  flags.cpu_rt_period = "1000000";
  flags.cpu_rt_runtime = "500001";
  flags.cpu_share = "200";
  flags.cpu_idle = "1";
  flags.cpuset_cpus = "0-1";
  flags.cpuset_mems = "0";
  flags.memory = "64M";
  flags.memory_reservation = "33554432";
  flags.memory_swap = "-1";
  flags.pids_limit = -1;
  flags.blkio_weight = 300;
  const OciResources resources = resources_of(flags).value();
  EXPECT_EQ(resources_json(resources), nlohmann::json::parse(R"({
    "cpu": {"period": 900000, "quota": -1, "burst": 0, "realtimePeriod": 1000000,
            "realtimeRuntime": 500001, "shares": 200, "idle": 1, "cpus": "0-1", "mems": "0"},
    "memory": {"limit": 67108864, "reservation": 33554432, "swap": -1},
    "pids": {"limit": -1}, "blockIO": {"weight": 300}})"));
}

TEST(UpdateFlags, ZeroAndNothingChangeNothing) {
  UpdateFlags flags;
  EXPECT_EQ(resources_json(resources_of(flags).value()), nlohmann::json::object());
  flags.memory = flags.memory_swap = flags.cpu_quota = flags.cpu_period = flags.cpu_share = "0";
  EXPECT_EQ(resources_json(resources_of(flags).value()), nlohmann::json::object());
}

TEST(UpdateFlags, WrongValuesNameTheFlag) {
  const auto message = [](std::string UpdateFlags::*flag, const char* value) {
    UpdateFlags flags;
    flags.*flag = value;
    const Result<OciResources> resources = resources_of(flags);
    return resources ? "no error" : resources.error().message();
  };
  EXPECT_THAT(message(&UpdateFlags::cpu_quota, "many"), HasSubstr("invalid value for cpu-quota"));
  EXPECT_THAT(message(&UpdateFlags::cpu_period, "-1"), HasSubstr("invalid value for cpu-period"));
  EXPECT_THAT(message(&UpdateFlags::cpu_share, "1x"), HasSubstr("invalid value for cpu-share"));
  EXPECT_THAT(message(&UpdateFlags::cpu_idle, "2"), HasSubstr("invalid value for cpu-idle"));
  EXPECT_THAT(message(&UpdateFlags::memory, "64Q"), HasSubstr("invalid value for memory"));
  EXPECT_THAT(message(&UpdateFlags::memory_swap, "-2"), HasSubstr("invalid value for memory-swap"));
}

TEST(RamSize, AsDockerTakesIt) {
  EXPECT_EQ(parse_ram_size("4096").value(), 4096);
  EXPECT_EQ(parse_ram_size("32b").value(), 32);
  EXPECT_EQ(parse_ram_size("50M").value(), 52428800);
  EXPECT_EQ(parse_ram_size("50mb").value(), 52428800);
  EXPECT_EQ(parse_ram_size("50MiB").value(), 52428800);
  EXPECT_EQ(parse_ram_size("1.5 KiB").value(), 1536);
  EXPECT_EQ(parse_ram_size("2g").value(), std::int64_t{2} << 30U);
  for (const char* text : {"", "M", "-5", "5 5", "5bb", "0x10", "99999999p", "5MBx", "."}) {
    EXPECT_FALSE(parse_ram_size(text)) << text;
  }
}

TEST(Duration, AsGoTakesIt) {
  using std::chrono::milliseconds;
  EXPECT_EQ(parse_duration("5s").value(), milliseconds(5000));
  EXPECT_EQ(parse_duration("100ms").value(), milliseconds(100));
  EXPECT_EQ(parse_duration("1m30s").value(), milliseconds(90000));
  EXPECT_EQ(parse_duration("1.5h").value(), milliseconds(5400000));
  EXPECT_EQ(parse_duration("0").value(), milliseconds(0));
  EXPECT_LT(parse_duration("-1s").value(), milliseconds(0));
  for (const char* text : {"", "5", "s", "5x", "1.2.3s", "-", "99999999999h"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(ResourceUpdate, MemoryAndSwapGoTogether) {
  const OciResources has = parsed(R"({"memory": {"limit": 100, "swap": 300, "reservation": 50}})");
  OciResources applied = resources_to_apply(has, parsed(R"({"memory": {"limit": 200}})"));
  EXPECT_EQ(applied.memory.limit, 200);
  EXPECT_EQ(applied.memory.swap, 300);
  EXPECT_FALSE(applied.memory.reservation);
  applied = resources_to_apply(has, parsed(R"({"memory": {"swap": 400}})"));
  EXPECT_EQ(applied.memory.limit, 100);
  applied = resources_to_apply(has, parsed(R"({"memory": {"limit": -1}})"));
  EXPECT_FALSE(applied.memory.swap);  // unlimited then, too
  applied = resources_to_apply(has, parsed(R"({"pids": {"limit": 5}})"));
  EXPECT_FALSE(applied.memory.limit);
}

TEST(ResourceUpdate, QuotaAndPeriodGoTogether) {
  const OciResources has = parsed(R"({"cpu": {"quota": 5000, "period": 10000}})");
  OciResources applied = resources_to_apply(has, parsed(R"({"cpu": {"period": 20000}})"));
  EXPECT_EQ(applied.cpu.quota, 5000);
  EXPECT_EQ(applied.cpu.period, 20000U);
  applied = resources_to_apply(has, parsed(R"({"cpu": {"shares": 5}})"));
  EXPECT_FALSE(applied.cpu.quota);
  EXPECT_FALSE(applied.cpu.period);
}

TEST(ResourceUpdate, DevicesOfAnUpdateAreNotForUs) {
  const OciResources asked = parsed(R"({"devices": [{"allow": true, "access": "rwm"}]})");
  EXPECT_TRUE(resources_to_apply({}, asked).devices.empty());
  EXPECT_TRUE(resources_to_keep({}, asked).devices.empty());
}

TEST(ResourceUpdate, WhatIsNotAskedForIsKept) {
  const OciResources has = parsed(R"({
    "memory": {"limit": 100, "swappiness": 10}, "cpu": {"shares": 7, "cpus": "0"},
    "pids": {"limit": 9}, "unified": {"memory.high": "5"}, "rdma": {"a": {"hcaObjects": 1}},
    "network": {"classID": 3, "priorities": [{"name": "lo", "priority": 1}]},
    "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
    "blockIO": {"weight": 10, "weightDevice": [{"major": 8, "minor": 0, "weight": 20}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]}})");
  const OciResources asked = parsed(R"({
    "cpu": {"cpus": "1"}, "unified": {"memory.low": "6"},
    "hugepageLimits": [{"pageSize": "2MB", "limit": 2}],
    "blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 2},
                                          {"major": 8, "minor": 16, "rate": 3}]}})");
  EXPECT_EQ(resources_json(resources_to_keep(has, asked)), nlohmann::json::parse(R"({
    "memory": {"limit": 100, "swappiness": 10}, "cpu": {"shares": 7, "cpus": "1"},
    "pids": {"limit": 9}, "unified": {"memory.high": "5", "memory.low": "6"},
    "rdma": {"a": {"hcaObjects": 1}},
    "network": {"classID": 3, "priorities": [{"name": "lo", "priority": 1}]},
    "hugepageLimits": [{"pageSize": "2MB", "limit": 2}],
    "blockIO": {"weight": 10, "weightDevice": [{"major": 8, "minor": 0, "weight": 20}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 2},
                                          {"major": 8, "minor": 16, "rate": 3}]}})"));
}

TEST(ResourcesJson, IsReadBackAsItWas) {
  const char* const text = R"({
    "memory": {"limit": 1, "reservation": 2, "swap": 3, "swappiness": 4, "disableOOMKiller": true,
               "checkBeforeUpdate": true},
    "cpu": {"shares": 1, "quota": 2, "burst": 3, "period": 4, "realtimeRuntime": 5,
            "realtimePeriod": 6, "idle": 1, "cpus": "0", "mems": "0"}})";
  EXPECT_EQ(resources_json(parsed(text)), nlohmann::json::parse(text));
}

}  // namespace
}  // namespace sysbox::runc

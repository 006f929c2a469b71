// What goes to systemd: names of scopes, properties from limits, and those from annotations, which
// are hostile input. The talk with systemd itself is tested end to end.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <limits>

#include "runc-ext/cgroup/property_annotations.h"
#include "runc-ext/cgroup/scope_name.h"
#include "runc-ext/cgroup/systemd_bus.h"
#include "runc-ext/cgroup/unit_properties.h"

namespace sysbox::runc {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::uint64_t kInfinity = std::numeric_limits<std::uint64_t>::max();

template <typename T>
std::string message_of(const Result<T>& result) {
  return result ? "no error" : result.error().message();
}

// --- names ---

TEST(ScopeName, SliceIsNestedAsSystemdNestsIt) {
  const ScopeName name = parse_scope_name("machine-pod-a.slice:crio:abc", "id").value();
  EXPECT_EQ(name.slice, "machine-pod-a.slice");
  EXPECT_EQ(name.unit, "crio-abc.scope");
  EXPECT_EQ(name.path, "/machine.slice/machine-pod.slice/machine-pod-a.slice/crio-abc.scope");
}

TEST(ScopeName, WhatIsLeftOutHasDefaults) {
  EXPECT_EQ(parse_scope_name("", "web").value().path, "/system.slice/sysbox-web.scope");
  EXPECT_EQ(parse_scope_name(":docker:web", "x").value().path, "/system.slice/docker-web.scope");
  EXPECT_EQ(parse_scope_name("-.slice:docker:web", "x").value().path, "/docker-web.scope");
}

TEST(ScopeName, NonsenseIsRefused) {
  EXPECT_THAT(message_of(parse_scope_name("/docker/abc", "id")), HasSubstr("slice:prefix:name"));
  EXPECT_THAT(message_of(parse_scope_name("a:b:c:d", "id")), HasSubstr("slice:prefix:name"));
  for (const char* path :
       {"a:docker:x", "../x.slice:docker:x", "a--b.slice:docker:x", "-a.slice:docker:x",
        "a-.slice:docker:x", ".slice:docker:x", "a/b.slice:docker:x", "a.slice:docker:../../x",
        "a.slice:docker:x/y", "a.slice:docker:", "a.slice:docker:b.slice", "a.slice:do cker:x"}) {
    EXPECT_FALSE(parse_scope_name(path, "id")) << path;
  }
  EXPECT_FALSE(parse_scope_name("a.slice:docker:" + std::string(250, 'x'), "id"));
}

// --- limits ---

std::vector<UnitProperty> properties_of(OciResources resources, UnitFeatures features) {
  Result<std::vector<UnitProperty>> properties = resource_properties(resources, features);
  EXPECT_EQ(message_of(properties), "no error");
  return properties ? properties.value() : std::vector<UnitProperty>();
}
constexpr UnitFeatures kV2Update = {true, 252, false};
constexpr UnitFeatures kV1Update = {false, 252, false};

OciResources typical_limits() {
  OciResources resources;
  resources.memory.limit = 1000;
  resources.memory.swap = 3000;
  resources.memory.reservation = 500;
  resources.cpu.shares = 1024;
  resources.cpu.quota = 50000;
  resources.cpu.period = 100000;
  resources.pids_limit = 20;
  return resources;
}

TEST(UnitProperties, OfV2) {
  EXPECT_THAT(properties_of(typical_limits(), kV2Update),
              ElementsAre(unit_property("MemoryMax", std::uint64_t{1000}),
                          unit_property("MemoryLow", std::uint64_t{500}),
                          unit_property("MemorySwapMax", std::uint64_t{2000}),
                          unit_property("CPUWeight", std::uint64_t{100}),
                          unit_property("CPUQuotaPeriodUSec", std::uint64_t{100000}),
                          unit_property("CPUQuotaPerSecUSec", std::uint64_t{500000}),
                          unit_property("TasksMax", std::uint64_t{20})));
}

TEST(UnitProperties, OfV1) {
  OciResources resources = typical_limits();
  resources.block_io.weight = std::uint16_t{300};
  EXPECT_THAT(properties_of(resources, kV1Update),
              ElementsAre(unit_property("MemoryLimit", std::uint64_t{1000}),
                          unit_property("CPUShares", std::uint64_t{1024}),
                          unit_property("BlockIOWeight", std::uint64_t{300}),
                          unit_property("CPUQuotaPeriodUSec", std::uint64_t{100000}),
                          unit_property("CPUQuotaPerSecUSec", std::uint64_t{500000}),
                          unit_property("TasksMax", std::uint64_t{20})));
}

TEST(UnitProperties, UnlimitedIsTheLargestNumber) {
  OciResources resources;
  resources.memory.limit = -1;
  resources.cpu.quota = -1;
  resources.pids_limit = -1;
  EXPECT_THAT(
      properties_of(resources, kV2Update),
      ElementsAre(unit_property("MemoryMax", kInfinity), unit_property("MemorySwapMax", kInfinity),
                  unit_property("CPUQuotaPerSecUSec", kInfinity),
                  unit_property("TasksMax", kInfinity)));
}

TEST(UnitProperties, QuotaIsRoundedUpAsSystemdDoes) {
  OciResources resources;
  resources.cpu.quota = 3333;
  resources.cpu.period = 10000;
  const auto properties = resource_properties(resources, kV2Update).value();
  EXPECT_THAT(properties, Contains(unit_property("CPUQuotaPerSecUSec", std::uint64_t{340000})));
  EXPECT_EQ(resources.cpu.quota, 3400);  // what goes to the file afterwards
}

TEST(UnitProperties, IdleGoesBeforeShares) {
  OciResources resources;
  resources.cpu.idle = 1;
  resources.cpu.shares = 200;
  EXPECT_THAT(properties_of(resources, kV2Update),
              ElementsAre(unit_property("CPUWeight", std::uint64_t{0})));
  EXPECT_THAT(properties_of(resources, {true, 249, false}),  // does not know idle
              Not(Contains(unit_property("CPUWeight", std::uint64_t{0}))));
}

TEST(UnitProperties, UnifiedFilesThatSystemdHasANameFor) {
  OciResources resources;
  resources.unified = {{"memory.min", "131072"}, {"memory.max", " max\n"},
                       {"pids.max", "99"},       {"cpu.max", "10000 100000"},
                       {"cpu.weight", "42"},     {"io.max", "8:0 rbps=1"}};
  EXPECT_THAT(properties_of(resources, kV2Update),
              ElementsAre(unit_property("CPUQuotaPeriodUSec", std::uint64_t{100000}),
                          unit_property("CPUQuotaPerSecUSec", std::uint64_t{100000}),
                          unit_property("MemoryMax", kInfinity),
                          unit_property("MemoryMin", std::uint64_t{131072}),
                          unit_property("TasksMax", std::uint64_t{99}),
                          unit_property("CPUWeight", std::uint64_t{42})));
  resources.unified = {{"pids.max", "many"}};
  EXPECT_FALSE(resource_properties(resources, kV2Update));
}

TEST(UnitProperties, CpuListsAreMasksLowestByteFirst) {
  const auto mask = [](const char* list) { return cpu_mask(list).value(); };
  const auto byte = [](std::uint64_t value) { return UnitScalar(value); };
  EXPECT_THAT(mask("0"), ElementsAre(byte(1)));
  EXPECT_THAT(mask("1,3-4"), ElementsAre(byte(0b11010)));
  EXPECT_THAT(mask("7-8, 10"), ElementsAre(byte(0x80), byte(0b101)));
  for (const char* list : {"", "x", "3-1", "-1", "1-", "0-100000000", "1;2"}) {
    EXPECT_FALSE(cpu_mask(list)) << list;
  }
}

TEST(UnitProperties, DevicesAreNamedAsSystemdNamesThem) {
  OciResources resources;
  resources.devices = {
      {false, 'a', {}, {}, "rwm"}, {true, 'c', 10, 229, "rw"}, {true, 'b', 8, {}, "r"}};
  const auto properties = properties_of(resources, {true, 252, true});
  EXPECT_THAT(properties, Contains(unit_property("DevicePolicy", std::string("strict"))));
  const UnitProperty& allow = properties.back();
  ASSERT_EQ(allow.name, "DeviceAllow");
  ASSERT_EQ(allow.signature, "a(ss)");
  const auto has = [&allow](const std::string& device, const std::string& access) {
    for (std::size_t i = 0; i + 1 < allow.values.size(); i += 2) {
      if (allow.values[i] == UnitScalar(device) && allow.values[i + 1] == UnitScalar(access)) {
        return true;
      }
    }
    return false;
  };
  EXPECT_TRUE(has("/dev/char/1:3", "rwm"));
  EXPECT_TRUE(has("/dev/char/10:229", "rwm"));
  EXPECT_TRUE(has("block-8", "r"));
  EXPECT_TRUE(has("char-136", "rwm"));
  EXPECT_TRUE(has("char-*", "m"));
}

TEST(UnitProperties, AllDevices) {
  OciResources resources;
  resources.devices = {{true, 'a', {}, {}, "rwm"}};
  EXPECT_THAT(properties_of(resources, {true, 252, true}),
              Contains(unit_property("DevicePolicy", std::string("auto"))));
}

// --- annotations ---

std::vector<UnitProperty> annotated(const std::string& name, const std::string& value) {
  const auto properties = parse_property_annotations({{"org.systemd.property." + name, value}});
  EXPECT_EQ(message_of(properties), "no error") << name << "=" << value;
  return properties ? properties.value() : std::vector<UnitProperty>();
}
std::string refusal(const std::string& name, const std::string& value) {
  return message_of(parse_property_annotations({{"org.systemd.property." + name, value}}));
}

TEST(PropertyAnnotations, WhatEnginesSet) {
  EXPECT_THAT(annotated("CollectMode", "'inactive-or-failed'"),
              ElementsAre(unit_property("CollectMode", std::string("inactive-or-failed"))));
  EXPECT_THAT(annotated("TimeoutStopUSec", "uint64 123456789"),
              ElementsAre(unit_property("TimeoutStopUSec", std::uint64_t{123456789})));
  EXPECT_THAT(annotated("DefaultDependencies", "true"),
              ElementsAre(unit_property("DefaultDependencies", true)));
  EXPECT_THAT(annotated("After", "['crio.service', \"a.service\"]"),
              ElementsAre(UnitProperty{
                  "After", "as", {std::string("crio.service"), std::string("a.service")}}));
}

TEST(PropertyAnnotations, SecondsBecomeMicroseconds) {
  const auto stop = unit_property("TimeoutStopUSec", std::uint64_t{5500000});
  EXPECT_THAT(annotated("TimeoutStopSec", "5.5"), ElementsAre(stop));
  EXPECT_THAT(annotated("TimeoutStopSec", "uint64 3"),
              ElementsAre(unit_property("TimeoutStopUSec", std::uint64_t{3000000})));
  EXPECT_THAT(refusal("TimeoutStopSec", "'3'"), HasSubstr("TimeoutStopSec"));
  EXPECT_THAT(refusal("TimeoutStopSec", "-1"), HasSubstr("number of seconds"));
  EXPECT_THAT(refusal("TimeoutStopSec", "uint64 18446744073709551615"),
              HasSubstr("number of seconds"));
}

TEST(PropertyAnnotations, OtherAnnotationsAreNotOurs) {
  EXPECT_THAT(parse_property_annotations({{"org.example", "x"}, {"org.systemd", "y"}}).value(),
              IsEmpty());
}

TEST(PropertyAnnotations, NothingThatRunsAProgramOrMovesTheScope) {
  for (const char* name :
       {"ExecStart",    "ExecStartPre", "ExecStop", "Slice",      "PIDs",
        "Delegate",     "ControlGroup", "User",     "Group",      "DeviceAllow",
        "DevicePolicy", "Wants",        "Requires", "BindsTo",    "Conflicts",
        "OnFailure",    "OnSuccess",    "Upholds",  "BPFProgram", "RequiresMountsFor",
        "Controller",   "Delegatee",    "",         "X",          "Kill Mode",
        "KillMode\n",   "Kill-Mode",    "After2"}) {
    EXPECT_THAT(refusal(name, "true"), HasSubstr(join("org.systemd.property.", name)));
  }
}

TEST(VariantText, TypesAreAsWritten) {
  EXPECT_EQ(parse_variant_text("5").value().signature, "i");
  EXPECT_EQ(parse_variant_text("-5").value().signature, "i");
  EXPECT_EQ(parse_variant_text("2.5").value().signature, "d");
  EXPECT_EQ(parse_variant_text(" true ").value().signature, "b");
  EXPECT_EQ(parse_variant_text("@t 5").value().signature, "t");
  EXPECT_EQ(parse_variant_text("byte 255").value().signature, "y");
  EXPECT_EQ(parse_variant_text("@as []").value().signature, "as");
  EXPECT_EQ(parse_variant_text("[1, 2]").value().signature, "ai");
  EXPECT_EQ(parse_variant_text("'it\\'s'").value().values[0], UnitScalar(std::string("it's")));
}

TEST(VariantText, AnythingElseIsRefused) {
  for (const char* text :
       {"",          " ",          "x",        "'open",       "\"open'",    "[",     "[1",
        "[1,",       "[1,]",       "[1 2]",    "[1, 'x']",    "[]",         "5 6",   "true false",
        "uint64 -1", "uint64 'x'", "byte 256", "int16 40000", "2147483648", "@zz 1", "@a 1",
        "@t",        "uint64",     "@as 'x'",  "@s ['x']",    "nan",        "inf",   "1e999",
        "'\x01'",    "'\xc3\xa4'", "'\\n'",    "<1>",         "{}",         "(1,)",  "[[1]]",
        "0x10",      "+5"}) {
    EXPECT_FALSE(parse_variant_text(text)) << text;
  }
  std::string many = "[";
  for (int i = 0; i < 10000; ++i) many += "1,";
  EXPECT_FALSE(parse_variant_text(many + "1]"));
}

TEST(SystemdBus, WithoutSystemdTheErrorSaysWhatToDo) {
  if (::access("/run/systemd/system", F_OK) == 0) GTEST_SKIP() << "systemd runs here";
  const Result<SystemdBus> bus = SystemdBus::connect();
  ASSERT_FALSE(bus);
  EXPECT_EQ(bus.error().code(), ENOTSUP);
  EXPECT_THAT(bus.error().message(), HasSubstr("cgroupfs driver"));
}

}  // namespace
}  // namespace sysbox::runc

#include "fs-emulator/container_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sysbox::fs {
namespace {

using ::testing::HasSubstr;

ContainerRecord example() {
  ContainerRecord record;
  record.request = {"box",
                    IdMap::onto({231072, 65536}),
                    IdMap::onto({331072, 65536}),
                    {{"memory", "/sys/fs/cgroup/memory/box"}}};
  record.greeting = {std::string("\0\x01\xff words", 9), 0x1234};
  record.numbering = "some way";
  record.start_boot_ns = 12345678901234;
  record.init_pid = 4711;
  record.init_cgroups = "1:memory:/box\n";
  return record;
}

TEST(ContainerRecord, IsReadAsItWasWritten) {
  const ContainerRecord record = example();
  const ContainerRecord read = parse_record(record_text(record)).value();
  EXPECT_EQ(read.request.id, "box");
  EXPECT_EQ(read.request.uid_map.to_host(0), 231072U);
  EXPECT_EQ(read.request.gid_map.to_host(0), 331072U);
  EXPECT_EQ(read.request.cgroups, record.request.cgroups);
  EXPECT_EQ(read.greeting.request, record.greeting.request);
  EXPECT_EQ(read.greeting.capabilities, record.greeting.capabilities);
  EXPECT_EQ(read.numbering, record.numbering);
  EXPECT_EQ(read.start_boot_ns, record.start_boot_ns);
  EXPECT_EQ(read.init_pid, record.init_pid);
  EXPECT_EQ(read.init_cgroups, record.init_cgroups);
}

TEST(ContainerRecord, WhatIsDamagedIsRefused) {
  EXPECT_FALSE(parse_record("").ok());
  EXPECT_FALSE(parse_record("{}").ok());
  const std::string text = record_text(example());
  EXPECT_FALSE(parse_record(text.substr(0, text.size() / 2)).ok());
  for (const char* member : {"request", "greeting", "init_pid"}) {
    nlohmann::json json = nlohmann::json::parse(text);
    json.erase(member);
    EXPECT_THAT(parse_record(json.dump()).error().message(), HasSubstr(member));
  }
  nlohmann::json json = nlohmann::json::parse(text);
  for (const char* bad : {"0", "xy", "+1"}) {
    json["greeting"] = bad;
    EXPECT_FALSE(parse_record(json.dump()).ok()) << bad;
  }
}

TEST(ContainerRecord, SettingsAreReadAsTheyWereWritten) {
  const auto read =
      parse_settings(settings_text({{"/proc/sys/kernel/panic", "42\n"}, {"/x", ""}})).value();
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].path, "/proc/sys/kernel/panic");
  EXPECT_EQ(read[0].value, "42\n");
  EXPECT_TRUE(parse_settings("").value().empty());
  EXPECT_FALSE(parse_settings("[]").ok());
}

}  // namespace
}  // namespace sysbox::fs

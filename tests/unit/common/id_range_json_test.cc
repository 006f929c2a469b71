#include "common/id_range_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sysbox {
namespace {

using ::testing::HasSubstr;

TEST(IdRangeJson, SurvivesTheTrip) {
  const IdRange range{231072, 65536};
  EXPECT_EQ(parse_id_range(to_json(range), "uids").value(), range);
  const IdRange last{4294967294U, 1};
  EXPECT_EQ(parse_id_range(to_json(last), "uids").value(), last);
}

TEST(IdRangeJson, WhatCannotBeMappedIsRefused) {
  const auto mistake = [](const IdRange& range) {
    const Result<IdRange> parsed = parse_id_range(to_json(range), "gids");
    return parsed.ok() ? "none" : parsed.error().message();
  };
  EXPECT_EQ(mistake({5, 0}), "gids.count: must not be 0");
  EXPECT_EQ(mistake({4294967295U, 1}), "gids: goes beyond the last id, 4294967294");
  EXPECT_EQ(mistake({1, 4294967295U}), "gids: goes beyond the last id, 4294967294");
  EXPECT_THAT(parse_id_range({{"first", -1}, {"count", 1}}, "gids").error().message(),
              HasSubstr("gids.first"));
  EXPECT_THAT(parse_id_range({{"first", 1}}, "gids").error().message(), HasSubstr("gids.count"));
}

}  // namespace
}  // namespace sysbox

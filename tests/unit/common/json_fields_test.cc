#include "common/json_fields.h"

#include <gtest/gtest.h>

namespace sysbox {
namespace {

struct Mistake {
  const char* name;
  const char* json;
  const char* message;
};

class RejectedJson : public testing::TestWithParam<Mistake> {};

TEST_P(RejectedJson, IsNamedByItsPath) {
  const nlohmann::json document = nlohmann::json::parse(GetParam().json);
  std::uint16_t small = 0;
  std::vector<std::string> words;
  std::map<std::string, int> counts;
  bool flag = false;
  JsonFields fields(document, "process");
  fields.optional("small", small);
  fields.optional("words", words);
  fields.optional("counts", counts);
  fields.required("flag", flag);
  const Result<void> result = std::move(fields).finish();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message(), GetParam().message);
  EXPECT_EQ(result.error().code(), EINVAL);
}

INSTANTIATE_TEST_SUITE_P(
    JsonFields, RejectedJson,
    testing::Values(
        Mistake{"NotAnObject", "[]", "process: expected an object, found an array"},
        Mistake{"Missing", "{}", "process.flag: is missing"},
        Mistake{"NullIsAbsent", R"({"flag": null})", "process.flag: is missing"},
        Mistake{"WrongType", R"({"small": "1"})",
                "process.small: expected a whole number between 0 and 65535, found a string"},
        Mistake{
            "TooBig", R"({"small": 65536})",
            "process.small: expected a whole number between 0 and 65535, found the number 65536"},
        Mistake{"Negative", R"({"small": -1})",
                "process.small: expected a whole number between 0 and 65535, found the number -1"},
        Mistake{"Fraction", R"({"small": 1.5})",
                "process.small: expected a whole number between 0 and 65535, found the number 1.5"},
        Mistake{"Element", R"({"words": ["a", 3]})",
                "process.words[1]: expected a string, found the number 3"},
        Mistake{"NulCharacter", R"({"words": ["a\u0000b"]})",
                "process.words[0]: holds a NUL character"},
        Mistake{"MapValue", R"({"counts": {"x": true}})",
                "process.counts.x: expected a whole number between -2147483648 and 2147483647, "
                "found a boolean"}),
    [](const auto& mistake) { return mistake.param.name; });

TEST(JsonFields, UnknownMembersAreIgnored) {
  const nlohmann::json document = {{"known", 5}, {"unknown", {1, 2}}};
  int known = 0;
  JsonFields fields(document, "");
  fields.required("known", known);
  EXPECT_TRUE(std::move(fields).finish().ok());
  EXPECT_EQ(known, 5);
}

TEST(JsonFields, NamesMayDifferInCaseAsInGo) {
  const nlohmann::json object = {{"pagesize", "2MB"}, {"Limit", 1}, {"limit", 2}};
  std::string page_size;
  int limit = 0;
  JsonFields in(object, "");
  in.required("pageSize", page_size);
  in.required("limit", limit);  // the exact name goes first
  ASSERT_TRUE(std::move(in).finish().ok());
  EXPECT_EQ(page_size, "2MB");
  EXPECT_EQ(limit, 2);
}

TEST(JsonFields, SixtyFourBitNumbersAreExact) {
  const nlohmann::json document =
      nlohmann::json::parse(R"({"big": 18446744073709551615, "low": -9223372036854775808})");
  std::uint64_t big = 0;
  std::int64_t low = 0;
  JsonFields fields(document, "");
  fields.required("big", big);
  fields.required("low", low);
  ASSERT_TRUE(std::move(fields).finish().ok());
  EXPECT_EQ(big, 18446744073709551615U);
  EXPECT_EQ(low, std::numeric_limits<std::int64_t>::min());
}

TEST(ParseJson, NamesLineAndColumn) {
  const Result<nlohmann::json> result = parse_json("{\n  \"a\": 1,\n  b\n}");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message().substr(0, 30), "not valid JSON at line 3, colu");
}

TEST(ParseJson, RefusesWhatWouldExhaustTheStack) {
  const Result<nlohmann::json> result = parse_json(std::string(100000, '['));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message(), "JSON nested deeper than 64");
}

}  // namespace
}  // namespace sysbox

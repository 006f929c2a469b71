#include <gtest/gtest.h>

#include "common/json_fields.h"
#include "runc-ext/oci/hooks.h"

namespace sysbox::runc {
namespace {

Result<OciHooks> parse(const std::string& text) {
  const nlohmann::json json = TRY(parse_json(text));
  return parse_hooks(json, "hooks");
}

TEST(Hooks, EveryKindIsRead) {
  const Result<OciHooks> hooks = parse(R"({
    "prestart": [{"path": "/a", "args": ["a", "b"], "env": ["X=1"], "timeout": 5}],
    "createRuntime": [{"path": "/b"}], "createContainer": [{"path": "/c"}],
    "startContainer": [{"path": "/d"}], "poststart": [{"path": "/e"}],
    "poststop": [{"path": "/f"}, {"path": "/g"}]})");
  ASSERT_TRUE(hooks.ok()) << hooks.error().message();
  ASSERT_EQ(hooks.value().prestart.size(), 1U);
  const OciHook& first = hooks.value().prestart[0];
  EXPECT_EQ(first.path, "/a");
  EXPECT_EQ(first.args, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(first.env, std::vector<std::string>{"X=1"});
  EXPECT_EQ(first.timeout_seconds, 5);
  EXPECT_EQ(hooks.value().create_runtime.at(0).path, "/b");
  EXPECT_EQ(hooks.value().create_container.at(0).path, "/c");
  EXPECT_EQ(hooks.value().start_container.at(0).path, "/d");
  EXPECT_EQ(hooks.value().poststart.at(0).path, "/e");
  EXPECT_EQ(hooks.value().poststop.at(1).path, "/g");
  EXPECT_FALSE(hooks.value().poststop.at(1).timeout_seconds.has_value());
}

struct RejectedHook {
  const char* name;
  const char* text;
  const char* message;
};
void PrintTo(const RejectedHook& row, std::ostream* out) { *out << row.name; }

class RejectedHooks : public testing::TestWithParam<RejectedHook> {};

TEST_P(RejectedHooks, AreRefusedByName) {
  const Result<OciHooks> hooks = parse(GetParam().text);
  ASSERT_FALSE(hooks.ok());
  EXPECT_EQ(hooks.error().message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Table, RejectedHooks,
    testing::Values(
        RejectedHook{"RelativePath", R"({"prestart": [{"path": "a"}]})",
                     "hooks.prestart[0].path: 'a' is not an absolute path"},
        RejectedHook{"NoPath", R"({"poststop": [{"path": "/a"}, {}]})",
                     "hooks.poststop[1].path: is missing"},
        RejectedHook{"ZeroTimeout", R"({"poststart": [{"path": "/a", "timeout": 0}]})",
                     "hooks.poststart[0].timeout: 0 is not more than zero"},
        RejectedHook{"NegativeTimeout", R"({"createRuntime": [{"path": "/a", "timeout": -1}]})",
                     "hooks.createRuntime[0].timeout: -1 is not more than zero"},
        RejectedHook{"NotAnArray", R"({"prestart": {}})",
                     "hooks.prestart: expected an array, found an object"},
        RejectedHook{"NotAnObject", R"([])", "hooks: expected an object, found an array"}),
    [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace sysbox::runc

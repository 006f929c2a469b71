#include "fs-emulator/api_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json_fields.h"

namespace sysbox::fs {
namespace {

using ::testing::HasSubstr;

TEST(ApiJson, RegisterRequestComesBackAsItWas) {
  RegisterRequest request;
  request.id = "box_1.a+b-c";
  request.uid_map = {{{0, 231072, 65536}, {65536, 400000, 1}}};
  request.gid_map = IdMap::onto({300000, 65536});
  request.cgroups = {{"", "/sys/fs/cgroup/unified/box"}, {"memory", "/sys/fs/cgroup/memory/box"}};
  const nlohmann::json wire = parse_json(to_json(request).dump()).value();
  const Result<RegisterRequest> back = parse_register_request(wire);
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(back.value().id, request.id);
  EXPECT_EQ(back.value().uid_map, request.uid_map);
  EXPECT_EQ(back.value().gid_map, request.gid_map);
  EXPECT_EQ(back.value().cgroups, request.cgroups);
}

TEST(ApiJson, PiecesComeBackAsTheyWere) {
  const std::vector<Piece> pieces = {{"proc", "sys/kernel/panic", "proc:sys:kernel:panic"}};
  const Result<std::vector<Piece>> back = parse_pieces(parse_json(to_json(pieces).dump()).value());
  ASSERT_TRUE(back.ok());
  ASSERT_EQ(back.value().size(), 1U);
  EXPECT_EQ(back.value()[0].target, "sys/kernel/panic");
}

struct Bad {
  const char* name;
  const char* json;
  const char* message;
};
class BadRegister : public ::testing::TestWithParam<Bad> {};

TEST_P(BadRegister, IsRefusedByName) {
  const Result<RegisterRequest> request =
      parse_register_request(parse_json(GetParam().json).value());
  ASSERT_FALSE(request.ok());
  EXPECT_EQ(request.error().code(), EINVAL);
  EXPECT_THAT(request.error().message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Requests, BadRegister,
    ::testing::Values(
        Bad{"NoId", R"({})", "id"}, Bad{"NoObject", R"([1])", "object"},
        Bad{"IdWithSlash", R"({"id":"a/b"})", "id: has to be"},
        Bad{"IdOfDots", R"({"id":".."})", "id: has to be"},
        Bad{"NoRootMapped",
            R"({"id":"a","uid_map":[{"container":1,"host":5,"count":9}],"gid_map":[]})",
            "uid_map: does not map id 0"},
        Bad{"MapTooLong", R"({"id":"a","uid_map":[{"container":0,"host":4294967295,"count":2}]})",
            "uid_map[0]: is not a range"},
        Bad{"EmptyRange", R"({"id":"a","uid_map":[{"container":0,"host":5,"count":0}]})",
            "uid_map[0]"},
        Bad{"RelativeCgroup",
            R"({"id":"a","uid_map":[{"container":0,"host":5,"count":9}],
                "gid_map":[{"container":0,"host":5,"count":9}],"cgroups":{"memory":"x"}})",
            "cgroups.memory"}),
    [](const auto& test) { return test.param.name; });

TEST(ApiJson, StartNeedsAPid) {
  EXPECT_FALSE(parse_start_request(parse_json(R"({"id":"a","init_pid":0})").value()).ok());
  EXPECT_EQ(parse_start_request(parse_json(R"({"id":"a","init_pid":7})").value()).value().init_pid,
            7);
}

}  // namespace
}  // namespace sysbox::fs

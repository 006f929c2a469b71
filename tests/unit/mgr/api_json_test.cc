#include "mgr/api_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/json_fields.h"

namespace sysbox::mgr {
namespace {

using ::testing::HasSubstr;

TEST(ApiJson, RegisterSurvivesTheTrip) {
  RegisterRequest request{"a.b-c_1+",   "/r", "/l", IdRange{5, 6}, IdRange{7, 8}, 131072,
                          {"/x", "/y"}, 42,   7,    "/u"};
  const RegisterRequest back = parse_register_request(to_json(request)).value();
  EXPECT_EQ(back.id, request.id);
  EXPECT_EQ(back.rootfs, request.rootfs);
  EXPECT_EQ(back.lifeline, request.lifeline);
  EXPECT_EQ(back.given_uids, request.given_uids);
  EXPECT_EQ(back.given_gids, request.given_gids);
  EXPECT_EQ(back.own_destinations, request.own_destinations);
  EXPECT_EQ(back.caller_pid, 42);
  EXPECT_EQ(back.ids, 131072U);
  EXPECT_EQ(back.user_namespace, 7U);
  EXPECT_EQ(back.upper_layer, "/u");
}

TEST(ApiJson, RepliesSurviveTheTrip) {
  const RegisterReply reply{{1, 2}, {3, 4}, {{"/d", "/s"}}};
  const RegisterReply back = parse_register_reply(to_json(reply)).value();
  EXPECT_EQ(back.uids, reply.uids);
  EXPECT_EQ(back.gids, reply.gids);
  EXPECT_EQ(back.volumes, reply.volumes);

  const ListReply list{{{"c", {1, 2}, {3, 4}, {{"/d", "/s"}}}}, 9, 8};
  const ListReply list_back = parse_list_reply(to_json(list)).value();
  ASSERT_EQ(list_back.containers.size(), 1U);
  EXPECT_EQ(list_back.containers[0].id, "c");
  EXPECT_EQ(list_back.containers[0].volumes, list.containers[0].volumes);
  EXPECT_EQ(list_back.ranges, 9U);
  EXPECT_EQ(list_back.free_ranges, 8U);
}

TEST(ApiJson, AReplyWithoutIdsIsRefused) {
  const Result<RegisterReply> reply = parse_register_reply(nlohmann::json::object());
  ASSERT_FALSE(reply.ok());
  EXPECT_THAT(reply.error().message(), HasSubstr("uids: is missing"));
}

TEST(ApiJson, IdsAreThoseOfRunc) {
  for (const char* id : {"a", "A-b_c+d.e", "...", ".hidden", "-x", "0"}) {
    EXPECT_TRUE(check_container_id(id).ok()) << id;
  }
  EXPECT_TRUE(check_container_id(std::string(255, 'a')).ok());
  for (const char* id : {"", ".", "..", "a/b", "a b", "a:b", "~trash", "\xc3\xa4", "a\n"}) {
    EXPECT_FALSE(check_container_id(id).ok()) << id;
  }
  EXPECT_FALSE(check_container_id(std::string(256, 'a')).ok());
}

struct Refused {
  const char* name;
  const char* text;
  const char* message;
};
class RefusedRequest : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedRequest, NamesTheMistake) {
  const Result<RegisterRequest> request =
      parse_register_request(parse_json(GetParam().text).value());
  ASSERT_FALSE(request.ok());
  EXPECT_EQ(request.error().code(), EINVAL);
  EXPECT_THAT(request.error().message(), HasSubstr(GetParam().message));
}

#define WITH(members) "{\"id\":\"a\",\"rootfs\":\"/r\",\"lifeline\":\"/l\"" members "}"

INSTANTIATE_TEST_SUITE_P(
    ApiJson, RefusedRequest,
    ::testing::Values(
        Refused{"NoObject", "[]", "expected an object"},
        Refused{"NoId", "{\"rootfs\":\"/r\",\"lifeline\":\"/l\"}", "id: is missing"},
        Refused{"IdOfAnotherDirectory", "{\"id\":\"../x\",\"rootfs\":\"/r\",\"lifeline\":\"/l\"}",
                "'../x' is no container id"},
        Refused{"RelativeRootfs", "{\"id\":\"a\",\"rootfs\":\"r\",\"lifeline\":\"/l\"}",
                "rootfs: 'r' is not an absolute path"},
        Refused{"RelativeLifeline", "{\"id\":\"a\",\"rootfs\":\"/r\",\"lifeline\":\"\"}",
                "lifeline"},
        Refused{"OneGivenRange", WITH(",\"given_uids\":{\"first\":1,\"count\":1}"), "both or none"},
        Refused{"HostRoot",
                WITH(",\"given_uids\":{\"first\":0,\"count\":1},\"given_gids\":{\"first\":1,"
                     "\"count\":1}"),
                "given_uids: holds the host's id 0"},
        Refused{"EmptyRange", WITH(",\"given_uids\":{\"first\":1,\"count\":0}"),
                "given_uids.count: must not be 0"},
        Refused{"PastTheEnd", WITH(",\"given_uids\":{\"first\":4294967290,\"count\":6}"),
                "given_uids: goes beyond the last id"},
        Refused{"TooLarge", WITH(",\"given_uids\":{\"first\":4294967296,\"count\":6}"),
                "given_uids.first"},
        Refused{"BadDestination", WITH(",\"own_destinations\":[1]"), "own_destinations[0]"},
        Refused{"NulInPath", WITH(",\"own_destinations\":[\"/a\\u0000\"]"), "NUL"}),
    [](const ::testing::TestParamInfo<Refused>& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace sysbox::mgr

#include <gtest/gtest.h>

#include "runc-ext/oci/state_json.h"

namespace sysbox::runc {
namespace {

OciState running() {
  OciState state;
  state.oci_version = "1.0.2";
  state.id = "web";
  state.status = "running";
  state.pid = 4242;
  state.bundle = "/b";
  state.rootfs = "/b/rootfs";
  state.created = "2026-11-22T03:12:00.123456789Z";
  return state;
}

TEST(State, ForPeopleIsAsRuncPrintsIt) {
  EXPECT_EQ(state_for_people(running()), R"({
  "ociVersion": "1.0.2",
  "id": "web",
  "pid": 4242,
  "status": "running",
  "bundle": "/b",
  "rootfs": "/b/rootfs",
  "created": "2026-11-22T03:12:00.123456789Z",
  "owner": ""
})");
}

TEST(State, ForPeopleShowsAnnotationsByName) {
  OciState state = running();
  state.owner = "root";
  state.annotations = {{"z", "1"}, {"a", "<&>"}};
  EXPECT_EQ(state_for_people(state), R"({
  "ociVersion": "1.0.2",
  "id": "web",
  "pid": 4242,
  "status": "running",
  "bundle": "/b",
  "rootfs": "/b/rootfs",
  "created": "2026-11-22T03:12:00.123456789Z",
  "annotations": {
    "a": "\u003c\u0026\u003e",
    "z": "1"
  },
  "owner": "root"
})");
}

TEST(State, ForPeopleOfAStoppedContainerHasPidZero) {
  OciState state = running();
  state.status = "stopped";
  state.pid = 0;
  EXPECT_NE(state_for_people(state).find("\n  \"pid\": 0,\n"), std::string::npos);
}

TEST(State, ForHooksIsOneLineOfTheSpecification) {
  EXPECT_EQ(state_for_hooks(running()),
            R"({"ociVersion":"1.0.2","id":"web","status":"running","pid":4242,"bundle":"/b"})");
}

TEST(State, ForHooksOfAStoppedContainerHasNoPid) {
  OciState state = running();
  state.status = "stopped";
  state.pid = 0;
  state.annotations = {{"k", "v"}};
  EXPECT_EQ(state_for_hooks(state),
            R"({"ociVersion":"1.0.2","id":"web","status":"stopped","bundle":"/b",)"
            R"("annotations":{"k":"v"}})");
}

TEST(State, TextThatIsNotUtf8IsReplaced) {
  OciState state = running();
  state.bundle = "/b\xff";
  EXPECT_NE(state_for_hooks(state).find("\"/b\xef\xbf\xbd\""), std::string::npos);
}

TEST(StateJson, ASeccompAgentGetsTheProcessAndTheContainer) {
  SeccompAgentMessage message;
  message.pid = 77;
  message.metadata = "what the profile says";
  message.state.id = "c1";
  message.state.status = "creating";
  message.state.pid = 55;
  message.state.bundle = "/b";
  message.state.oci_version = "1.2.1";
  EXPECT_EQ(text_for_seccomp_agent(message),
            R"({"ociVersion":"1.2.1","fds":["seccompFd"],"pid":77,)"
            R"("metadata":"what the profile says","state":{"ociVersion":"1.2.1","id":"c1",)"
            R"("status":"creating","pid":55,"bundle":"/b"}})");
}

}  // namespace
}  // namespace sysbox::runc

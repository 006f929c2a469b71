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

}  // namespace
}  // namespace sysbox::runc

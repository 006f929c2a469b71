#include "mgr/api_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "common/daemon.h"
#include "common/syscalls.h"
#include "mgr/api_client.h"
#include "mgr/api_parking.h"
#include "mgr/interface_description.h"
#include "scratch_directory.h"

namespace sysbox::mgr {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Serving : public ::testing::Test {
 protected:
  Serving() {
    scratch_.make_directory("run");
    scratch_.make_directory("rootfs");
    containers_ = Containers::open({scratch_ / "run",
                                    scratch_ / "data",
                                    {{3200000000U, 131072}},
                                    "the test's lines",
                                    "/proc"})
                      .value();
    parked_ = ParkedDescriptors::start(1h).value();
    add_manager_interface(server_, *containers_, *parked_);
    listener_ = daemon::listen_at(socket()).value();
    serving_ = std::thread([this] { EXPECT_TRUE(server_.serve(listener_.get()).ok()); });
  }
  ~Serving() override {
    server_.stop();
    ::shutdown(listener_.get(), SHUT_RDWR);
    serving_.join();
  }
  std::string socket() const { return scratch_ / "run/sysbox-mgr.sock"; }
  RegisterRequest request(const std::string& id) const {
    RegisterRequest request;
    request.id = id;
    request.rootfs = scratch_ / "rootfs";
    request.lifeline = scratch_.make_directory("life");
    return request;
  }
  Result<nlohmann::json> call(const std::string& method, const nlohmann::json& parameters) const {
    MessageSocket connected = TRY(MessageSocket::connect(socket(), after(1s)));
    varlink::Parameters reply = TRY(varlink::call(connected, method, parameters, {}, after(5s)));
    return std::move(reply.json);
  }

  ScratchDirectory scratch_;
  std::unique_ptr<Containers> containers_;
  std::unique_ptr<ParkedDescriptors> parked_;
  varlink::Server server_;
  UniqueFd listener_;
  std::thread serving_;
};

TEST_F(Serving, RegistersListsAndUnregisters) {
  Client client(socket());
  const Result<RegisterReply> reply = client.register_container(request("c1"));
  ASSERT_TRUE(reply.ok()) << reply.error().message();
  EXPECT_EQ(reply.value().uids, (IdRange{3200000000U, 65536}));
  EXPECT_EQ(reply.value().volumes.size(), kSpecialDirectories.size());
  const ListReply list = client.list().value();
  ASSERT_EQ(list.containers.size(), 1U);
  EXPECT_EQ(list.containers[0].id, "c1");
  EXPECT_EQ(list.containers[0].volumes, reply.value().volumes);
  EXPECT_EQ(list.ranges, 2U);
  EXPECT_EQ(list.free_ranges, 1U);
  EXPECT_TRUE(client.unregister_container("c1").ok());
  EXPECT_TRUE(client.unregister_container("c1").ok());
  EXPECT_TRUE(client.list().value().containers.empty());
}

TEST_F(Serving, ErrorsCrossTheWireWithTheirCode) {
  Client client(socket());
  ASSERT_TRUE(client.register_container(request("c1")).ok());
  const Result<RegisterReply> again = client.register_container(request("c1"));
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), EEXIST);
  EXPECT_EQ(again.error().message(), "sysbox-mgr: container 'c1' is registered already");
  EXPECT_EQ(client.unregister_container("../x").error().code(), EINVAL);
}

TEST_F(Serving, RefusesMalformedCalls) {
  const Result<nlohmann::json> bad = call("io.sysbox.manager.Register", {{"id", 5}});
  ASSERT_FALSE(bad.ok());
  EXPECT_THAT(bad.error().message(), HasSubstr("id: expected a string"));
  EXPECT_FALSE(call("io.sysbox.manager.Unregister", nlohmann::json::array()).ok());
  EXPECT_FALSE(call("io.sysbox.manager.NoSuch", nlohmann::json::object()).ok());
}

TEST_F(Serving, ParksDescriptorsAndGivesCopies) {
  ParkingClient client(socket());
  const Attended attended = client.attend().value();
  EXPECT_THAT(attended.owners, ElementsAre());
  EXPECT_TRUE(sys::pidfd_send_signal(attended.manager_pidfd.get(), 0).ok());
  auto [reader, writer] = sys::pipe().value();
  ASSERT_TRUE(client.park("box", {{"fuse", writer.get()}, {"tree", reader.get()}}).ok());
  ASSERT_TRUE(client.park(kDaemonItself, {{"journal", reader.get()}}).ok());
  const std::vector<NamedDescriptor> copies = client.copies_of("box").value();
  ASSERT_EQ(copies.size(), 2U);
  EXPECT_EQ(copies[0].name, "fuse");
  EXPECT_EQ(sys::fstat(copies[0].fd.get()).value().st_ino, sys::fstat(writer.get()).value().st_ino);
  EXPECT_THAT(client.attend().value().owners, ElementsAre("", "box"));
  ASSERT_TRUE(client.unpark("box").ok());
  EXPECT_EQ(client.copies_of("box").error().code(), ENOENT);
}

TEST_F(Serving, WhatIsWrongWithParkingComesOutOfTheNextCall) {
  ParkingClient client(socket());
  ASSERT_TRUE(client.park("no/id", {}).ok());
  EXPECT_EQ(client.settle().error().code(), EINVAL);
  EXPECT_TRUE(client.settle().ok());
  ASSERT_TRUE(client.unpark("box").ok());
  EXPECT_TRUE(client.unpark("box").ok());
}

TEST_F(Serving, UnregisteringLetsGoWhatIsParked) {
  ParkingClient client(socket());
  auto [reader, writer] = sys::pipe().value();
  ASSERT_TRUE(client.park("c1", {{"fuse", writer.get()}}).ok());
  ASSERT_TRUE(client.settle().ok());
  ASSERT_TRUE(Client(socket()).unregister_container("c1").ok());
  EXPECT_EQ(parked_->size(), 0U);
}

TEST_F(Serving, TellsItsInterfaceDescription) {
  const nlohmann::json reply =
      call("org.varlink.service.GetInterfaceDescription", {{"interface", "io.sysbox.manager"}})
          .value();
  EXPECT_EQ(reply["description"], kInterfaceDescription);
  EXPECT_EQ(std::string(kInterfaceDescription), contents_of(SYSBOX_MGR_VARLINK_FILE));
  for (const char* method :
       {"method Register(", "method Unregister(", "method Pause(", "method Resume(", "method List(",
        "method Attend(", "method Park(", "method Parked(", "method Unpark("}) {
    EXPECT_THAT(kInterfaceDescription, HasSubstr(method));
  }
}

TEST_F(Serving, AnIdleConnectionDoesNotHoldUpTheEnd) {
  const MessageSocket idle = MessageSocket::connect(socket(), after(1s)).value();
  ASSERT_TRUE(Client(socket()).list().ok());
  const auto start = std::chrono::steady_clock::now();
  server_.stop();
  ::shutdown(listener_.get(), SHUT_RDWR);
  serving_.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, 2s);
  serving_ = std::thread([] {});
}

TEST(ApiClient, SaysHowToStartADaemonThatIsDown) {
  const ScratchDirectory scratch;
  const auto start = std::chrono::steady_clock::now();
  Client client(scratch / "nobody.sock");
  const Result<void> done = client.unregister_container("c1");
  EXPECT_LT(std::chrono::steady_clock::now() - start, 1s);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code(), ENOENT);
  EXPECT_THAT(done.error().message(), HasSubstr("start it by running sysbox-mgr as root"));
  EXPECT_THAT(done.error().message(), HasSubstr("nobody.sock"));
}

}  // namespace
}  // namespace sysbox::mgr

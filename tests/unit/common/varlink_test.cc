#include "common/varlink.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "common/daemon.h"

namespace sysbox::varlink {
namespace {

using namespace std::chrono_literals;

class VarlinkServer : public testing::Test {
 protected:
  VarlinkServer() {
    std::string pattern = "/tmp/varlink_test.XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    path_ = directory_ + "/socket";
    listener_ = daemon::listen_at(path_).value();
    server_.add_interface("io.test", "interface io.test\nmethod Double(n: int) -> (n: int)\n");
    server_.add_method("io.test.Double", [](Parameters in) -> Result<Parameters> {
      if (!in.json.contains("n")) return Error(EINVAL, "n: is missing");
      Parameters out;
      out.json = {{"n", in.json["n"].get<int>() * 2}};
      out.fds = std::move(in.fds);
      return out;
    });
    thread_ = std::thread([this] { static_cast<void>(server_.serve(listener_.get()).ok()); });
  }
  ~VarlinkServer() override {
    server_.stop();
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    std::filesystem::remove_all(directory_);
  }

  MessageSocket client() const { return MessageSocket::connect(path_, after(1s)).value(); }

  std::string directory_;
  std::string path_;
  UniqueFd listener_;
  Server server_;
  std::thread thread_;
};

TEST_F(VarlinkServer, AnswersCallsAndPassesDescriptorsBothWays) {
  MessageSocket socket = client();
  const std::array fds = {STDIN_FILENO};
  const Parameters reply = call(socket, "io.test.Double", {{"n", 21}}, fds, after(1s)).value();
  EXPECT_EQ(reply.json["n"], 42);
  EXPECT_EQ(reply.fds.size(), 1U);
}

TEST_F(VarlinkServer, ErrorsArriveWithTheirErrnoAndText) {
  MessageSocket socket = client();
  const Result<Parameters> reply =
      call(socket, "io.test.Double", nlohmann::json::object(), {}, after(1s));
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().code(), EINVAL);
  EXPECT_EQ(reply.error().message(), "n: is missing");
}

TEST_F(VarlinkServer, UnknownMethodsAndBrokenCallsDoNotEndTheConnection) {
  MessageSocket socket = client();
  EXPECT_FALSE(call(socket, "io.test.Nothing", nlohmann::json::object(), {}, after(1s)).ok());
  ASSERT_TRUE(socket.send("{broken", {}, after(1s)).ok());
  EXPECT_NE(socket.receive(after(1s)).value().text.find("not valid JSON"), std::string::npos);
  EXPECT_EQ(call(socket, "io.test.Double", {{"n", 1}}, {}, after(1s)).value().json["n"], 2);
}

TEST_F(VarlinkServer, DescribesItsInterfaces) {
  MessageSocket socket = client();
  const Parameters info =
      call(socket, "org.varlink.service.GetInfo", nlohmann::json::object(), {}, after(1s)).value();
  EXPECT_EQ(info.json["interfaces"][1], "io.test");
  const Parameters text = call(socket, "org.varlink.service.GetInterfaceDescription",
                               {{"interface", "io.test"}}, {}, after(1s))
                              .value();
  EXPECT_EQ(text.json["description"].get<std::string>().substr(0, 17), "interface io.test");
}

TEST_F(VarlinkServer, TheSocketIsRootsAlone) {
  EXPECT_EQ(sys::fstatat(AT_FDCWD, path_).value().st_mode & 07777U, 0600U);
}

TEST(InstanceLock, ASecondHolderIsToldThePid) {
  std::string pattern = "/tmp/lock_test.XXXXXX";
  const std::string directory = ::mkdtemp(pattern.data());
  {
    const UniqueFd held = daemon::take_instance_lock(directory + "/x.lock").value();
    const Result<UniqueFd> second = daemon::take_instance_lock(directory + "/x.lock");
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().message(),
              join("already running: pid ", ::getpid(), " holds ", directory, "/x.lock"));
  }
  EXPECT_TRUE(daemon::take_instance_lock(directory + "/x.lock").ok());
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace sysbox::varlink

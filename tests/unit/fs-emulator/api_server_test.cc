// io.sysbox.emulator over a real socket, in this process and with the real program.

#include "fs-emulator/api_server.h"

#include <gmock/gmock.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill
#include <sys/socket.h>
#include <sys/wait.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "common/daemon.h"
#include "fs-emulator/api_client.h"
#include "tests/support/fixture_proc.h"
#include "tests/unit/fs-emulator/daemon_fixture.h"

namespace sysbox::fs {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class Server {
 public:
  explicit Server(const std::string& socket)
      : listener_(daemon::listen_at(socket).value()), thread_([this] {
          add_emulator_interface(server_, parts_.registry(), parts_.notify_loop());
          EXPECT_TRUE(server_.serve(listener_.get()).ok());
        }) {}
  ~Server() {
    server_.stop();
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

 private:
  DaemonParts parts_;
  varlink::Server server_;
  UniqueFd listener_;
  std::thread thread_;
};

class EmulatorApi : public ::testing::Test {
 protected:
  void SetUp() override { REQUIRE_FUSE(); }

  testing::FixtureProc directory_;
  const std::string socket_ = directory_ / "run/fs.sock";
};

TEST_F(EmulatorApi, RegistersStartsListsAndUnregisters) {
  const Server server(socket_);
  Client client(socket_);
  Result<RegisterReply> reply = client.register_container(request_for("box"));
  ASSERT_TRUE(reply.ok()) << reply.error().message();
  EXPECT_GE(reply.value().pieces.size(), all_pieces().size());
  EXPECT_EQ(sys::read_file_at(reply.value().tree.get(), "proc:sys:kernel:panic").value_or(""),
            "0\n");
  EXPECT_TRUE(sys::read_file_at(reply.value().tree.get(), "proc:uptime").ok());

  EXPECT_EQ(client.register_container(request_for("box")).error().code(), EEXIST);

  const UniqueFd pidfd = sys::pidfd_open(::getpid()).value();
  const Result<void> started = client.start_container({"box", ::getpid(), pidfd.get()});
  EXPECT_TRUE(started.ok()) << started.error().message();
  const Result<std::vector<ListedContainer>> listed = client.list();
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed.value().size(), 1U);
  EXPECT_EQ(listed.value()[0].id, "box");
  EXPECT_EQ(listed.value()[0].init_pid, ::getpid());

  EXPECT_TRUE(client.unregister_container("box").ok());
  EXPECT_TRUE(client.unregister_container("box").ok());
  EXPECT_TRUE(client.list().value().empty());
}

TEST_F(EmulatorApi, RefusesWhatItDoesNotKnow) {
  const Server server(socket_);
  Client client(socket_);
  const UniqueFd pidfd = sys::pidfd_open(::getpid()).value();
  EXPECT_EQ(client.start_container({"nobody", ::getpid(), pidfd.get()}).error().code(), ENOENT);
  EXPECT_EQ(client.add_listener("nobody", pidfd.get()).error().code(), ENOENT);
  EXPECT_EQ(client.start_container({"nobody", ::getpid(), -1}).error().code(), EINVAL);
  RegisterRequest bad = request_for("a/b");
  EXPECT_THAT(client.register_container(bad).error().message(), HasSubstr("id: has to be"));
}

TEST_F(EmulatorApi, AnInitThatHasEndedCannotBeStarted) {
  const Server server(socket_);
  Client client(socket_);
  ASSERT_TRUE(client.register_container(request_for("box")).ok());
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  const UniqueFd pidfd = sys::pidfd_open(child).value();
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(client.start_container({"box", child, pidfd.get()}).error().code(), ESRCH);
}

TEST_F(EmulatorApi, ManyClientsAtOnceGetAContainerEach) {
  const Server server(socket_);
  std::vector<std::thread> threads;
  std::atomic<int> registered{0};
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      Client client(socket_);
      const Result<RegisterReply> reply = client.register_container(request_for(join("box", i)));
      if (reply.ok() && sys::read_file_at(reply.value().tree.get(), "proc:uptime").ok()) {
        ++registered;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(registered, 16);
  EXPECT_EQ(Client(socket_).list().value().size(), 16U);
}

TEST_F(EmulatorApi, CountsTrappedCallsAndSetsTheAudit) {
  const Server server(socket_);
  MessageSocket socket = MessageSocket::connect(socket_, after(1s)).value();
  const auto ask = [&socket](const char* method, const nlohmann::json& parameters) {
    return varlink::call(socket, join(kInterface, ".", method), parameters, {}, after(1s));
  };
  const Result<varlink::Parameters> counted = ask("CountCalls", nlohmann::json::object());
  ASSERT_TRUE(counted.ok()) << counted.error().message();
  EXPECT_EQ(counted.value().json, nlohmann::json({{"calls", nlohmann::json::array()}}));
  EXPECT_TRUE(ask("SetAudit", {{"level", "errors"}}).ok());
  const Result<varlink::Parameters> refused = ask("SetAudit", {{"level", "some"}});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("'some' is none of off, errors, all"));
}

TEST_F(EmulatorApi, IsDescribed) {
  const Server server(socket_);
  MessageSocket socket = MessageSocket::connect(socket_, after(1s)).value();
  const Result<varlink::Parameters> reply =
      varlink::call(socket, "org.varlink.service.GetInterfaceDescription",
                    {{"interface", kInterface}}, {}, after(1s));
  ASSERT_TRUE(reply.ok());
  EXPECT_THAT(reply.value().json["description"].get<std::string>(), HasSubstr("method Register("));
}

TEST(EmulatorClient, SaysHowToStartADaemonThatIsDown) {
  Client client("/tmp/sysbox-no-such-directory/fs.sock");
  const auto begin = std::chrono::steady_clock::now();
  const Result<RegisterReply> reply = client.register_container(request_for("box"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 1s);
  ASSERT_FALSE(reply.ok());
  EXPECT_THAT(reply.error().message(), HasSubstr("sysbox-fs does not answer"));
}

// The program itself, started as an administrator would.
class Program {
 public:
  explicit Program(const std::string& run_dir, const std::string& error_file = "/dev/null") {
    pid_ = ::fork();
    if (pid_ != 0) return;
    const int error = ::open(error_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(error, 2);
    const std::string socket = run_dir + "/fs.sock";
    ::execl(SYSBOX_FS_PROGRAM, "sysbox-fs", "--socket", socket.c_str(), "--run-dir",
            run_dir.c_str(), nullptr);
    ::_exit(127);
  }
  ~Program() { end(SIGKILL); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }
  int end(int signal) {
    if (pid_ > 0) ::kill(pid_, signal);
    return wait();
  }
  int wait() {
    if (pid_ <= 0) return -1;
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
};

Result<RegisterReply> register_when_up(Client& client, const std::string& id) {
  for (int i = 0; i < 500; ++i) {
    Result<RegisterReply> reply = client.register_container(request_for(id));
    if (reply.ok()) return reply;
    std::this_thread::sleep_for(10ms);
  }
  return client.register_container(request_for(id));
}

TEST_F(EmulatorApi, KilledProgramLeavesNoMountAndNobodyHanging) {
  Program program(directory_ / "run");
  Client client(socket_);
  const Result<RegisterReply> reply = register_when_up(client, "box");
  ASSERT_TRUE(reply.ok()) << reply.error().message();
  EXPECT_EQ(program.end(SIGKILL), 128 + SIGKILL);
  EXPECT_EQ(sys::openat(reply.value().tree.get(), "proc:uptime", O_RDONLY).error().code(),
            ENOTCONN);
  EXPECT_EQ(sys::read_file("/proc/self/mountinfo").value().find("sysbox-fs"), std::string::npos);
  // And another one takes over the socket and the lock.
  Program next(directory_ / "run");
  EXPECT_TRUE(register_when_up(client, "box").ok());
  EXPECT_EQ(next.end(SIGTERM), 0);
}

TEST_F(EmulatorApi, ASecondProgramNamesTheFirst) {
  Program first(directory_ / "run");
  Client client(socket_);
  ASSERT_TRUE(register_when_up(client, "box").ok());
  const std::string errors = directory_ / "errors";
  Program second(directory_ / "run", errors);
  EXPECT_EQ(second.wait(), 1);
  EXPECT_THAT(sys::read_file(errors).value_or(""), HasSubstr(join("pid ", first.pid())));
  EXPECT_TRUE(client.list().ok());
}

}  // namespace
}  // namespace sysbox::fs

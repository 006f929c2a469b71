// A daemon's end and its successor, both in this process: what the first has parked, the second
// gets. Every descriptor is a copy, as the ones that pass through sysbox-mgr are.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <thread>

#include "fs-emulator/manager_link.h"
#include "tests/unit/fs-emulator/daemon_fixture.h"

namespace sysbox::fs {
namespace {

using namespace std::chrono_literals;

constexpr const char* kPanic = "proc:sys:kernel:panic";

// A session served by hand, like a daemon of one thread.
class ServedSession {
 public:
  explicit ServedSession(std::shared_ptr<FuseSession> session)
      : session_(std::move(session)), serving_([this] { serve(); }) {}
  ~ServedSession() {
    stopping_ = true;
    serving_.join();
  }
  ServedSession(const ServedSession&) = delete;
  ServedSession& operator=(const ServedSession&) = delete;
  FuseSession& operator*() const { return *session_; }
  FuseSession* operator->() const { return session_.get(); }

 private:
  void serve() {
    RequestBuffer buffer;
    while (!stopping_) {
      if (session_->serve_one(buffer) == FuseSession::Outcome::kNothingWaits) {
        (void)sys::wait_for(session_->device_fd(), POLLIN, after(10ms));
      }
    }
  }
  std::shared_ptr<FuseSession> session_;
  std::atomic<bool> stopping_{false};
  std::thread serving_;
};

class Takeover : public ::testing::Test {
 protected:
  void SetUp() override { REQUIRE_FUSE(); }
  std::shared_ptr<ContainerState> state() {
    return std::make_shared<ContainerState>(host_, defaults_, CgroupDirectories{}, 1, 1);
  }
  HostFiles host_{RootDir::open("/proc").value(), RootDir::open("/sys").value()};
  SysctlDefaults defaults_{host_};
};

TEST_F(Takeover, ASessionIsServedOnWithTheSameGreeting) {
  UniqueFd mount;
  UniqueFd device;
  UniqueFd open_file;
  FuseGreeting greeting;
  {
    const ServedSession first(FuseSession::open().value());
    first->tree().assign(state());
    mount = first->take_mount();
    open_file = sys::openat(mount.get(), "proc:uptime", O_RDONLY).value();
    greeting = first->greeting();
    device = sys::duplicate(first->device_fd()).value();
  }
  EXPECT_GE(greeting.request.size(), 40U);
  EXPECT_NE(greeting.capabilities, 0U);
  const ServedSession second(
      FuseSession::take_over(sys::duplicate(device.get()).value(), greeting).value());
  EXPECT_EQ(second->greeting().capabilities, greeting.capabilities);
  EXPECT_EQ(second->greeting().request, greeting.request);
  second->tree().assign(state());
  EXPECT_EQ(sys::read_file_at(mount.get(), kPanic).value_or("error"), "0\n");
  // A file that the first one has opened.
  char byte = 0;
  EXPECT_EQ(::pread(open_file.get(), &byte, 1, 0), 1);
}

TEST_F(Takeover, ARequestWaitsForTheSuccessor) {
  UniqueFd mount;
  UniqueFd device;
  FuseGreeting greeting;
  {
    const ServedSession first(FuseSession::open().value());
    first->tree().assign(state());
    mount = first->take_mount();
    ASSERT_TRUE(sys::read_file_at(mount.get(), kPanic).ok());
    greeting = first->greeting();
    device = sys::duplicate(first->device_fd()).value();
  }
  std::atomic<bool> is_done{false};
  std::string text;
  std::thread reader([&] {
    text = sys::read_file_at(mount.get(), "proc:swaps").value_or("error");
    is_done = true;
  });
  std::this_thread::sleep_for(100ms);
  EXPECT_FALSE(is_done);
  auto successor = FuseSession::take_over(std::move(device), greeting).value();
  successor->tree().assign(state());
  const ServedSession second(std::move(successor));
  reader.join();
  EXPECT_THAT(text, ::testing::StartsWith("Filename"));
}

TEST_F(Takeover, WhatIsNoGreetingIsRefused) {
  for (const std::string& bad : {std::string(), std::string(20, 'x'), std::string(64, '\0')}) {
    UniqueFd device = sys::open("/dev/fuse", O_RDWR | O_NONBLOCK).value();
    EXPECT_FALSE(FuseSession::take_over(std::move(device), {bad, 0}).ok());
  }
}

TEST_F(Takeover, AContainerWithUnreadableStateIsGivenUp) {
  DaemonParts parts;
  ManagerLink nobody("/nonexistent/sysbox-mgr.sock");
  FuseLoop& loop = parts.loop();
  SpareSessions spares(loop, 0);
  seccomp::NotifyLoop notify_loop;
  ContainerRegistry registry(host_, loop, spares, notify_loop, &nobody);
  registry.take_back("box", {});
  EXPECT_TRUE(registry.list().empty());
  // The id is free.
  EXPECT_TRUE(registry.register_container(request_for("box")).ok());
}

}  // namespace
}  // namespace sysbox::fs

#include "seccomp-notify/notify_loop.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <latch>
#include <thread>

#include "tests/unit/seccomp-notify/fake_notify_kernel.h"
#include "tests/unit/seccomp-notify/no_actions.h"

namespace sysbox::testing {
namespace {

using namespace std::chrono_literals;
using seccomp::FailWith;
using seccomp::LetKernelRunIt;
using seccomp::Notification;
using seccomp::SucceedWith;
using seccomp::Verdict;

// Calls with an id from kHanging on do not end before the test says so.
constexpr std::uint64_t kHanging = 1000;

struct Script {
  std::latch release{1};
  std::atomic<int> hanging{0};
  std::atomic<bool> unfit_after_call{false};
};

class ScriptedHandler : public seccomp::CallHandler {
 public:
  explicit ScriptedHandler(std::shared_ptr<Script> script) : script_(std::move(script)) {}
  Verdict handle(int /*listener*/, const Notification& call,
                 seccomp::ContainerActions& /*actions*/) override {
    if (call.id >= kHanging) {
      ++script_->hanging;
      script_->release.wait();
    }
    is_fit_ = !script_->unfit_after_call;
    return SucceedWith{static_cast<std::int64_t>(call.id)};
  }
  bool is_fit() const override { return is_fit_; }

 private:
  std::shared_ptr<Script> script_;
  bool is_fit_ = true;
};

class Loop : public ::testing::Test {
 protected:
  seccomp::NotifyLoop& start(seccomp::NotifyLimits limits = {},
                             std::shared_ptr<seccomp::CallJournal> journal = nullptr) {
    loop_ = std::make_unique<seccomp::NotifyLoop>(
        limits, kernel_,
        [script =
             script_](seccomp::NotifyKernel&) -> Result<std::unique_ptr<seccomp::CallHandler>> {
          return std::unique_ptr<seccomp::CallHandler>(std::make_unique<ScriptedHandler>(script));
        },
        std::move(journal));
    return *loop_;
  }
  FakeNotifyKernel::Listener listen(const std::string& container) {
    FakeNotifyKernel::Listener listener = kernel_->make_listener();
    const auto added =
        loop_->add(std::move(listener.to_serve), std::make_shared<NoActions>(container));
    EXPECT_TRUE(added.ok());
    return listener;
  }
  void expect_success(std::uint64_t id) {
    const std::optional<Verdict> verdict = kernel_->wait_for_answer(id);
    ASSERT_TRUE(verdict) << "call " << id << " is not answered";
    const auto* success = std::get_if<SucceedWith>(&*verdict);
    ASSERT_NE(success, nullptr);
    EXPECT_EQ(success->value, static_cast<std::int64_t>(id));
  }
  bool eventually(const std::function<bool()>& holds) {
    for (int i = 0; i < 500; ++i) {
      if (holds()) return true;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }
  void TearDown() override {
    if (!script_->release.try_wait()) script_->release.count_down();
    loop_.reset();
    EXPECT_EQ(kernel_->answered_twice(), 0);
  }

  std::shared_ptr<FakeNotifyKernel> kernel_ = std::make_shared<FakeNotifyKernel>();
  std::shared_ptr<Script> script_ = std::make_shared<Script>();
  std::unique_ptr<seccomp::NotifyLoop> loop_;
};
using NotifyLoopWithFakeKernel = Loop;

TEST_F(NotifyLoopWithFakeKernel, AnswersEachCallWithItsVerdict) {
  start();
  const auto listener = listen("a");
  for (std::uint64_t id = 1; id <= 50; ++id) kernel_->trap(listener, id);
  for (std::uint64_t id = 1; id <= 50; ++id) expect_success(id);
}

TEST_F(NotifyLoopWithFakeKernel, CountsCallsByContainer) {
  start({.call_timeout = 50ms});
  const auto first = listen("a");
  const auto second = listen("b");
  kernel_->trap(first, kHanging);
  ASSERT_TRUE(kernel_->wait_for_answer(kHanging));
  for (std::uint64_t id = 1; id <= 5; ++id) kernel_->trap(second, id);
  for (std::uint64_t id = 1; id <= 5; ++id) expect_success(id);
  const std::vector<seccomp::CountedCall> counted = loop_->count_calls();
  ASSERT_EQ(counted.size(), 2U);
  EXPECT_EQ(counted[0].container, "a");
  EXPECT_EQ(counted[0].counts, (std::array<std::uint64_t, 4>{0, 0, 0, 1}));
  EXPECT_EQ(counted[1].container, "b");
  EXPECT_EQ(counted[1].counts, (std::array<std::uint64_t, 4>{5, 0, 0, 0}));
}

TEST_F(NotifyLoopWithFakeKernel, GoesOnWhileACallHangs) {
  start();
  const auto listener = listen("a");
  kernel_->trap(listener, kHanging);
  for (std::uint64_t id = 1; id <= 10; ++id) kernel_->trap(listener, id);
  for (std::uint64_t id = 1; id <= 10; ++id) expect_success(id);
  EXPECT_FALSE(kernel_->wait_for_answer(kHanging, 0ms));
  script_->release.count_down();
  expect_success(kHanging);
}

TEST_F(NotifyLoopWithFakeKernel, LetsAContainerExhaustItsOwnShareOnly) {
  start({.calls_in_work = 3});
  const auto first = listen("greedy");
  const auto second = listen("greedy");
  const auto other = listen("modest");
  for (std::uint64_t id = kHanging; id < kHanging + 6; ++id) {
    kernel_->trap(id % 2 == 0 ? first : second, id);
  }
  ASSERT_TRUE(eventually([&] { return script_->hanging == 3; }));
  for (std::uint64_t id = 1; id <= 10; ++id) kernel_->trap(other, id);
  for (std::uint64_t id = 1; id <= 10; ++id) expect_success(id);
  EXPECT_EQ(kernel_->received(), 3 + 10);
  script_->release.count_down();
  for (std::uint64_t id = kHanging; id < kHanging + 6; ++id) expect_success(id);
}

TEST_F(NotifyLoopWithFakeKernel, FailsACallAtItsDeadlineAndDropsTheLateVerdict) {
  start({.call_timeout = 50ms});
  const auto listener = listen("a");
  kernel_->trap(listener, kHanging);
  const std::optional<Verdict> verdict = kernel_->wait_for_answer(kHanging);
  ASSERT_TRUE(verdict);
  const auto* failure = std::get_if<FailWith>(&*verdict);
  ASSERT_NE(failure, nullptr);
  EXPECT_EQ(failure->code, EIO);
  script_->release.count_down();
  kernel_->trap(listener, 1);
  expect_success(1);
}

// The timer is armed once for a while, not for each call.
TEST_F(NotifyLoopWithFakeKernel, KeepsTheDeadlineOfEachCall) {
  start({.call_timeout = 100ms});
  const auto listener = listen("a");
  kernel_->trap(listener, 1);
  expect_success(1);
  std::this_thread::sleep_for(60ms);
  kernel_->trap(listener, kHanging);
  EXPECT_FALSE(kernel_->wait_for_answer(kHanging, 60ms)) << "failed by the deadline of another";
  EXPECT_TRUE(kernel_->wait_for_answer(kHanging));
}

TEST_F(NotifyLoopWithFakeKernel, PassesOverCallersThatWereKilled) {
  start();
  const auto listener = listen("a");
  kernel_->kill_caller(7);
  kernel_->trap(listener, 7);
  kernel_->trap(listener, 8);
  expect_success(8);
  EXPECT_FALSE(kernel_->wait_for_answer(7, 0ms));
}

TEST_F(NotifyLoopWithFakeKernel, ReleasesTheActionsWhenAListenerHangsUp) {
  start();
  auto listener = kernel_->make_listener();
  auto actions = std::make_shared<NoActions>("a");
  const std::weak_ptr<NoActions> watched = actions;
  ASSERT_TRUE(loop_->add(std::move(listener.to_serve), std::move(actions)).ok());
  EXPECT_FALSE(watched.expired());
  listener.hang_up.reset();
  EXPECT_TRUE(eventually([&] { return watched.expired(); }));
}

TEST_F(NotifyLoopWithFakeKernel, ClosesTheListenersOfARemovedContainer) {
  start();
  const auto leaving = listen("leaving");
  const auto staying = listen("staying");
  loop_->remove_container("leaving");
  loop_->remove_container("unknown");
  struct pollfd closed {
    leaving.hang_up.get(), 0, 0
  };
  EXPECT_TRUE(eventually([&] { return ::poll(&closed, 1, 0) == 1; }));  // POLLERR: no reader
  kernel_->trap(staying, 1);
  expect_success(1);
}

TEST_F(NotifyLoopWithFakeKernel, GivesSurplusThreadsBack) {
  const auto threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
  };
  start({.calls_in_work = 8, .idle_thread_timeout = 20ms});
  const auto listener = listen("a");
  for (std::uint64_t id = kHanging; id < kHanging + 8; ++id) kernel_->trap(listener, id);
  ASSERT_TRUE(eventually([&] { return script_->hanging == 8; }));
  const auto busy = threads();
  EXPECT_GE(busy, 9);
  script_->release.count_down();
  EXPECT_TRUE(eventually([&] { return threads() <= busy - 6; }));
  kernel_->trap(listener, 1);
  expect_success(1);
}

TEST_F(NotifyLoopWithFakeKernel, ReplacesAThreadThatIsNoLongerFit) {
  start();
  const auto listener = listen("a");
  script_->unfit_after_call = true;
  for (std::uint64_t id = 1; id <= 20; ++id) {
    kernel_->trap(listener, id);
    expect_success(id);
  }
}

TEST_F(NotifyLoopWithFakeKernel, EndsWithoutWaitingForCallsThatHang) {
  start({.call_timeout = 10s});
  const auto listener = listen("a");
  kernel_->trap(listener, kHanging);
  ASSERT_TRUE(eventually([&] { return script_->hanging == 1; }));
  const auto begin = std::chrono::steady_clock::now();
  loop_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
}

TEST(NotifyLoop, LeavesCallsToTheKernelIfItsThreadsCannotVisit) {
  const auto kernel = std::make_shared<FakeNotifyKernel>();
  seccomp::NotifyLoop loop(
      {}, kernel, [](seccomp::NotifyKernel&) -> Result<std::unique_ptr<seccomp::CallHandler>> {
        return errno_error(EPERM, "unshare");
      });
  auto listener = kernel->make_listener();
  ASSERT_TRUE(loop.add(std::move(listener.to_serve), std::make_shared<NoActions>("a")).ok());
  kernel->trap(listener, 1);
  const std::optional<Verdict> verdict = kernel->wait_for_answer(1);
  ASSERT_TRUE(verdict);
  EXPECT_TRUE(std::holds_alternative<LetKernelRunIt>(*verdict));
}

TEST_F(Loop, ACallThatAnEarlierProcessReceivedIsAnswered) {
  alignas(8) static std::array<std::byte, seccomp::CallJournal::kBytes> memory{};
  {
    seccomp::CallJournal earlier(memory);
    for (const std::uint64_t id : {41U, 42U}) {
      struct seccomp_notif received {};
      received.id = id;
      std::memcpy(earlier.claim("a", 0).raw.data(), &received, sizeof received);
    }
  }
  // Threads of the loop may use it a moment longer than their last answer takes.
  const auto ended = std::make_shared<std::promise<void>>();
  const auto end = [ended](seccomp::CallJournal* journal) {
    delete journal;
    ended->set_value();
  };
  start({}, std::shared_ptr<seccomp::CallJournal>(new seccomp::CallJournal(memory), end));
  const auto listener = listen("a");
  expect_success(41);
  expect_success(42);
  // And its place is free: a call of the listener goes on as always.
  kernel_->trap(listener, 43);
  expect_success(43);
  loop_.reset();
  ASSERT_EQ(ended->get_future().wait_for(10s), std::future_status::ready);
  EXPECT_TRUE(seccomp::CallJournal(memory).take_unanswered("a", 0).empty());
}

}  // namespace
}  // namespace sysbox::testing

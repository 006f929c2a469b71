#include "runc-ext/init/channel.h"

#include <gtest/gtest.h>

#include <array>

namespace sysbox::runc {
namespace {

TEST(Channel, CarriesNumbersAndDescriptors) {
  auto [one, other] = Channel::make_pair().value();
  const std::array fds = {STDIN_FILENO, STDOUT_FILENO};
  ASSERT_TRUE(one.send(Step::kChild, 4711, fds).ok());
  const StepMessage message = other.expect(Step::kChild, "the test").value();
  EXPECT_EQ(message.number, 4711);
  ASSERT_EQ(message.fds.size(), 2U);
  EXPECT_EQ(::fcntl(message.fds[0].get(), F_GETFD), FD_CLOEXEC);
}

TEST(Channel, AFailureArrivesAsTheErrorThatItWas) {
  auto [one, other] = Channel::make_pair().value();
  one.send_failure(Error(ENOTDIR, "mount '/x': Not a directory"));
  const auto message = other.expect(Step::kReady, "the test");
  ASSERT_FALSE(message.ok());
  EXPECT_EQ(message.error().code(), ENOTDIR);
  EXPECT_EQ(message.error().message(), "mount '/x': Not a directory");
}

TEST(Channel, AnEndWithoutAWordIsTold) {
  auto [one, other] = Channel::make_pair().value();
  one.close();
  const auto message = other.receive("the helper");
  ASSERT_FALSE(message.ok());
  EXPECT_EQ(message.error().code(), ECONNRESET);
  EXPECT_EQ(message.error().message(), "the helper ended unexpectedly");
}

TEST(Channel, AnotherStepThanExpectedIsAnError) {
  auto [one, other] = Channel::make_pair().value();
  ASSERT_TRUE(one.send(Step::kGo).ok());
  EXPECT_EQ(other.expect(Step::kReady, "the helper").error().code(), EPROTO);
}

TEST(Channel, AVeryLongFailureIsCutNotLost) {
  auto [one, other] = Channel::make_pair().value();
  one.send_failure(Error(EIO, std::string(100000, 'x')));
  EXPECT_EQ(other.receive("the test").error().message().size(), 4096U);
}

}  // namespace
}  // namespace sysbox::runc

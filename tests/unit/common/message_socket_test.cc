#include "common/message_socket.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

namespace sysbox {
namespace {

using namespace std::chrono_literals;

std::pair<MessageSocket, MessageSocket> connected() {
  auto [one, other] = sys::socketpair(SOCK_STREAM).value();
  return {MessageSocket(std::move(one)), MessageSocket(std::move(other))};
}

TEST(MessageFramer, SplitsAtNulBytesHoweverTheyArrive) {
  MessageFramer framer;
  ASSERT_TRUE(framer.feed("{\"a\"").ok());
  EXPECT_EQ(framer.next(), std::nullopt);
  ASSERT_TRUE(framer.feed(std::string_view(":1}\0{}\0[", 8)).ok());
  EXPECT_EQ(framer.next(), "{\"a\":1}");
  EXPECT_EQ(framer.next(), "{}");
  EXPECT_EQ(framer.next(), std::nullopt);
}

TEST(MessageFramer, RefusesAMessageWithoutEnd) {
  MessageFramer framer;
  const std::string chunk(1U << 20U, 'x');
  Result<void> fed;
  for (int i = 0; i < 10 && fed.ok(); ++i) fed = framer.feed(chunk);
  ASSERT_FALSE(fed.ok());
  EXPECT_EQ(fed.error().code(), EMSGSIZE);
}

TEST(MessageSocket, DescriptorsArriveWithTheirMessage) {
  auto [one, other] = connected();
  auto [reader, writer] = sys::pipe().value();
  ASSERT_TRUE(one.send("first", {}, after(1s)).ok());
  const Message first = other.receive(after(1s)).value();
  EXPECT_EQ(first.text, "first");
  EXPECT_TRUE(first.fds.empty());
  const std::array fds = {writer.get()};
  ASSERT_TRUE(one.send("second", fds, after(1s)).ok());
  const Message second = other.receive(after(1s)).value();
  EXPECT_EQ(second.text, "second");
  ASSERT_EQ(second.fds.size(), 1U);
  ASSERT_TRUE(sys::write_all(second.fds[0].get(), "x").ok());
  std::array<char, 1> byte{};
  EXPECT_EQ(::read(reader.get(), byte.data(), 1), 1);
}

TEST(MessageSocket, ReceivedDescriptorsAreCloseOnExec) {
  auto [one, other] = connected();
  const std::array fds = {STDIN_FILENO};
  ASSERT_TRUE(one.send("x", fds, after(1s)).ok());
  const Message message = other.receive(after(1s)).value();
  EXPECT_EQ(::fcntl(message.fds.at(0).get(), F_GETFD), FD_CLOEXEC);
}

TEST(MessageSocket, LargeMessagesCrossASmallBuffer) {
  auto [one, other] = connected();
  const std::string large(3U << 20U, 'y');
  std::thread sender([&, &from = one] { ASSERT_TRUE(from.send(large, {}, after(10s)).ok()); });
  EXPECT_EQ(other.receive(after(10s)).value().text.size(), large.size());
  sender.join();
}

TEST(MessageSocket, GivesUpAtTheDeadline) {
  auto [one, other] = connected();
  const Result<Message> message = other.receive(after(20ms));
  ASSERT_FALSE(message.ok());
  EXPECT_EQ(message.error().code(), ETIMEDOUT);
}

TEST(MessageSocket, TellsWhenThePeerHasGone) {
  auto [one, other] = connected();
  { const MessageSocket gone = std::move(one); }
  EXPECT_EQ(other.receive(after(1s)).error().code(), ECONNRESET);
}

TEST(MessageSocket, NobodyListeningIsToldAtOnce) {
  const Result<MessageSocket> none = MessageSocket::connect("/nonexistent/sysbox.sock", after(1s));
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code(), ENOENT);
}

}  // namespace
}  // namespace sysbox

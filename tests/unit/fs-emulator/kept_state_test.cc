#include "fs-emulator/kept_state.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "common/syscalls.h"

namespace sysbox::fs {
namespace {

using Part = KeptState::Part;

TEST(KeptState, AnotherProcessReadsWhatWasReplacedLast) {
  const auto state = KeptState::create().value();
  EXPECT_EQ(state->text(Part::kSettings).value(), "");
  for (const char* text : {"one", "a longer one", "", "last"}) {
    ASSERT_TRUE(state->replace(Part::kSettings, text).ok());
    EXPECT_EQ(state->text(Part::kSettings).value(), text);
  }
  const auto same = KeptState::open(sys::duplicate(state->fd()).value()).value();
  EXPECT_EQ(same->text(Part::kSettings).value(), "last");
  EXPECT_EQ(same->text(Part::kRecord).value(), "");
}

TEST(KeptState, TooMuchIsRefusedAndChangesNothing) {
  const auto state = KeptState::create().value();
  ASSERT_TRUE(state->replace(Part::kRecord, "before").ok());
  const std::string much(KeptState::kMaxPartBytes + 1, 'x');
  EXPECT_EQ(state->replace(Part::kRecord, much).error().code(), E2BIG);
  EXPECT_EQ(state->text(Part::kRecord).value(), "before");
  EXPECT_TRUE(state->replace(Part::kRecord, much.substr(1)).ok());
}

TEST(KeptState, WhatIsNoStateIsRefused) {
  auto [reader, writer] = sys::pipe().value();
  EXPECT_EQ(KeptState::open(std::move(reader)).error().code(), EPROTO);
  UniqueFd empty(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(KeptState::open(std::move(empty)).error().code(), EPROTO);
  // The right size and seals, but none of ours.
  struct stat info = sys::fstat(KeptState::create().value()->fd()).value();
  UniqueFd other(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_TRUE(sys::ftruncate(other.get(), info.st_size).ok());
  ASSERT_EQ(::fcntl(other.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
  EXPECT_EQ(KeptState::open(std::move(other)).error().code(), EPROTO);
}

TEST(KeptState, DamageIsFound) {
  const auto state = KeptState::create().value();
  ASSERT_TRUE(state->replace(Part::kRecord, "text").ok());
  const std::string garbage(16, '\xff');  // the places' numbers, behind the magic number
  ASSERT_EQ(::pwrite(state->fd(), garbage.data(), garbage.size(), 8), 16);
  EXPECT_EQ(state->text(Part::kRecord).error().code(), EPROTO);
}

// A kill finds the writer anywhere; what it leaves is a whole text.
TEST(KeptState, AKillLeavesAWholeText) {
  for (int round = 0; round < 20; ++round) {
    const auto state = KeptState::create().value();
    const std::string a(5000, 'a');
    const std::string b(60000, 'b');
    ASSERT_TRUE(state->replace(Part::kHistory, a).ok());
    const pid_t writer = ::fork();
    if (writer == 0) {
      for (;;) {
        (void)state->replace(Part::kHistory, b);
        (void)state->replace(Part::kHistory, a);
      }
    }
    ::usleep(2000U + static_cast<unsigned>(round) * 137U);
    ::kill(writer, SIGKILL);
    ::waitpid(writer, nullptr, 0);
    const std::string text = state->text(Part::kHistory).value();
    EXPECT_TRUE(text == a || text == b) << text.size();
  }
}

}  // namespace
}  // namespace sysbox::fs

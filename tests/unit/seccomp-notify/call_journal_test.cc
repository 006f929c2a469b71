#include "seccomp-notify/call_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>

#include <cstring>

namespace sysbox {
namespace {

using seccomp::CallJournal;
using seccomp::JournaledCall;
using ::testing::IsEmpty;

class Journal : public ::testing::Test {
 protected:
  std::span<std::byte> memory() { return memory_; }
  // As the kernel does it.
  static void receive(JournaledCall& call, std::uint64_t id) {
    struct seccomp_notif bytes {};
    bytes.id = id;
    bytes.pid = 1;
    std::memcpy(call.raw.data(), &bytes, sizeof bytes);
  }

 private:
  alignas(8) std::array<std::byte, CallJournal::kBytes> memory_{};
};

TEST_F(Journal, TellsALaterProcessWhatWasReceivedAndNotAnswered) {
  {
    CallJournal journal(memory());
    receive(journal.claim("box", 1), 11);
    journal.claim("box", 1);  // nothing came
    JournaledCall& answered = journal.claim("box", 1);
    receive(answered, 12);
    journal.release(answered);
    JournaledCall& other = journal.claim("other", 7);
    receive(other, 13);
    other.evidence = 77;
  }
  CallJournal later(memory());
  EXPECT_THAT(later.take_unanswered("box", 2), IsEmpty());
  const auto of_box = later.take_unanswered("box", 1);
  ASSERT_EQ(of_box.size(), 1U);
  EXPECT_EQ(of_box[0]->evidence, 0U);
  EXPECT_THAT(later.take_unanswered("box", 1), IsEmpty()) << "once";
  const auto of_other = later.take_unanswered("other", 7);
  ASSERT_EQ(of_other.size(), 1U);
  EXPECT_EQ(of_other[0]->evidence, 77U);
  later.release(*of_other[0]);
  CallJournal last(memory());
  EXPECT_THAT(last.take_unanswered("other", 7), IsEmpty());
  EXPECT_EQ(last.take_unanswered("box", 1).size(), 1U) << "still in work";
}

TEST_F(Journal, WhatNobodyTakesMakesRoom) {
  for (std::uint64_t id = 1; id <= CallJournal::kCalls; ++id) {
    CallJournal journal(memory());
    receive(journal.claim("gone", id), id);
  }
  CallJournal later(memory());
  later.drop_unanswered();
  JournaledCall& call = later.claim("box", 1);
  receive(call, 1);
  EXPECT_EQ(CallJournal(memory()).take_unanswered("box", 1).size(), 1U);
}

TEST_F(Journal, MoreCallsThanItHoldsAreServedAsWell) {
  CallJournal journal(memory());
  std::vector<JournaledCall*> calls;
  for (std::size_t i = 0; i < CallJournal::kCalls + 3; ++i) calls.push_back(&journal.claim("a", 1));
  for (JournaledCall* call : calls) journal.release(*call);
  EXPECT_EQ(&journal.claim("a", 1), calls[0]);
}

}  // namespace
}  // namespace sysbox

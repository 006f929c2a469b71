#include "fs-emulator/request_journal.h"

#include <gtest/gtest.h>
#include <linux/fuse.h>

#include <cstring>

#include "common/syscalls.h"

namespace sysbox::fs {
namespace {

// As the kernel does it.
void receive(RequestBuffer& buffer, std::uint64_t unique) {
  struct fuse_in_header header {};
  header.len = sizeof header;
  header.opcode = FUSE_GETATTR;
  header.unique = unique;
  std::memcpy(buffer.data(), &header, sizeof header);
}

std::unique_ptr<RequestJournal> reopen(const RequestJournal& journal) {
  return RequestJournal::open(sys::duplicate(journal.fd()).value()).value();
}

TEST(RequestJournal, TellsALaterProcessWhatWasReadAndNotAnswered) {
  const auto journal = RequestJournal::create().value();
  RequestBuffer first = journal->take_buffer();
  RequestBuffer second = journal->take_buffer();
  RequestBuffer third = journal->take_buffer();
  first.begin("box");
  receive(first, 17);
  second.begin("box");
  receive(second, 18);
  second.done();
  third.begin("box");  // nothing came

  const auto later = reopen(*journal);
  EXPECT_TRUE(later->unanswered("other").empty());
  const auto found = later->unanswered("box");
  ASSERT_EQ(found.size(), 1U);
  struct fuse_in_header header {};
  ASSERT_EQ(found[0].size(), sizeof header);
  std::memcpy(&header, found[0].data(), sizeof header);
  EXPECT_EQ(header.unique, 17U);
}

TEST(RequestJournal, WhatIsUnansweredIsNotOverwritten) {
  const auto journal = RequestJournal::create().value();
  RequestBuffer buffer = journal->take_buffer();
  buffer.begin("box");
  receive(buffer, 17);
  const auto later = reopen(*journal);
  for (std::size_t i = 0; i < RequestJournal::kBuffers + 2; ++i) {
    RequestBuffer mine = later->take_buffer();
    mine.begin("other");
    receive(mine, 1);
  }
  EXPECT_EQ(later->unanswered("box").size(), 1U);
  later->drop_unanswered();
  EXPECT_TRUE(later->unanswered("box").empty());
  EXPECT_TRUE(reopen(*later)->unanswered("box").empty());
}

TEST(RequestJournal, AnImpossibleLengthIsLeftOut) {
  const auto journal = RequestJournal::create().value();
  RequestBuffer buffer = journal->take_buffer();
  for (const std::uint32_t length : {1U, 39U, 0x7fffffffU, 0xffffffffU}) {
    buffer.begin("box");
    std::memcpy(buffer.data(), &length, sizeof length);
    EXPECT_TRUE(reopen(*journal)->unanswered("box").empty()) << length;
  }
}

TEST(RequestJournal, WhatIsNoJournalIsRefused) {
  auto [reader, writer] = sys::pipe().value();
  EXPECT_EQ(RequestJournal::open(std::move(reader)).error().code(), EPROTO);
}

}  // namespace
}  // namespace sysbox::fs

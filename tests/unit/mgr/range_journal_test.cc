#include "mgr/range_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): signal
#include <sys/resource.h>

#include "scratch_directory.h"

namespace sysbox::mgr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

JournalEntry entry(std::uint32_t first) {
  return {{{first, kRangeSize}, {first, kRangeSize}}, {12, 345}};
}

class JournalOnDisk : public ::testing::Test {
 protected:
  RangeJournal::Opened open() const {
    Result<RangeJournal::Opened> opened = RangeJournal::open(scratch_.path());
    EXPECT_TRUE(opened.ok()) << opened.error().message();
    return std::move(opened).value();
  }
  std::string file() const { return scratch_ / "ranges.journal"; }

  ScratchDirectory scratch_;
};

TEST_F(JournalOnDisk, RemembersWhoHoldsWhatAndTheOrderOfReturns) {
  {
    RangeJournal journal = open().journal;
    for (const char* id : {"a", "b", "c", "d"}) {
      const auto first = static_cast<std::uint32_t>(100000 + 65536 * (id[0] - 'a'));
      ASSERT_TRUE(journal.record_take(id, entry(first)).ok());
    }
    ASSERT_TRUE(journal.record_release("c").ok());
    ASSERT_TRUE(journal.record_release("a").ok());
  }
  const RangeJournal::Opened again = open();
  EXPECT_FALSE(again.mistake);
  EXPECT_THAT(again.contents.live,
              ElementsAre(std::pair("b", entry(165536)), std::pair("d", entry(296608))));
  EXPECT_THAT(again.contents.freed, ElementsAre(231072, 100000));
}

TEST_F(JournalOnDisk, AReturnOfSeveralRangesInARowIsOneOfEach) {
  JournalEntry large = entry(100000);
  large.ranges.uids.count = large.ranges.gids.count = 2 * 65536;
  {
    RangeJournal journal = open().journal;
    ASSERT_TRUE(journal.record_take("large", large).ok());
    ASSERT_TRUE(journal.record_release("large").ok());
    ASSERT_TRUE(journal.record_take("small", entry(100000)).ok());
  }
  EXPECT_THAT(open().contents.freed, ElementsAre(165536));
}

TEST_F(JournalOnDisk, RemembersWhoSharesTheIdsOfAUserNamespace) {
  JournalEntry pod = entry(100000);
  pod.ranges.user_namespace = 77;
  {
    RangeJournal journal = open().journal;
    // It made the namespace; the next one has joined it.
    ASSERT_TRUE(journal.record_take("z-maker", entry(100000)).ok());
    ASSERT_TRUE(journal.record_take("joiner", pod).ok());
  }
  // The second reading is of the short file, in the order of the names.
  for (int reading = 0; reading < 2; ++reading) {
    const RangeJournal::Opened again = open();
    ASSERT_FALSE(again.mistake) << again.mistake->message();
    EXPECT_THAT(again.contents.live,
                ElementsAre(std::pair("joiner", pod), std::pair("z-maker", pod)));
  }
  {
    RangeJournal journal = open().journal;
    ASSERT_TRUE(journal.record_release("z-maker").ok());
  }
  EXPECT_THAT(open().contents.freed, IsEmpty());
  {
    RangeJournal journal = open().journal;
    ASSERT_TRUE(journal.record_release("joiner").ok());
  }
  EXPECT_THAT(open().contents.freed, ElementsAre(100000));
}

TEST_F(JournalOnDisk, OpeningWritesAShortFileOfTheSameMeaning) {
  {
    RangeJournal journal = open().journal;
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(journal.record_take("a", entry(100000)).ok());
      ASSERT_TRUE(journal.record_release("a").ok());
    }
  }
  EXPECT_THAT(open().contents.freed, ElementsAre(100000));
  EXPECT_LT(contents_of(file()).size(), 100U);
  EXPECT_THAT(open().contents.freed, ElementsAre(100000));
}

// kill -9 in the middle of a write leaves a last line without its end.
TEST_F(JournalOnDisk, EveryCutOfTheLastLineMeansTheStateBeforeIt) {
  {
    RangeJournal journal = open().journal;
    ASSERT_TRUE(journal.record_take("a", entry(100000)).ok());
    ASSERT_TRUE(journal.record_take("b", entry(165536)).ok());
  }
  const std::string whole = contents_of(file());
  const std::size_t last_line = whole.rfind('\n', whole.size() - 2) + 1;
  for (std::size_t size = last_line; size < whole.size(); ++size) {
    scratch_.write("ranges.journal", whole.substr(0, size));
    const RangeJournal::Opened opened = open();
    ASSERT_FALSE(opened.mistake) << size;
    ASSERT_THAT(opened.contents.live, ElementsAre(std::pair("a", entry(100000)))) << size;
  }
}

TEST_F(JournalOnDisk, ADamagedFileIsMovedAsideAndNamed) {
  scratch_.write("ranges.journal", "{\"version\":1}\n{\"take\":\"a\"}\n");
  const RangeJournal::Opened opened = open();
  ASSERT_TRUE(opened.mistake);
  EXPECT_THAT(opened.mistake->message(), HasSubstr(file()));
  EXPECT_THAT(opened.mistake->message(), HasSubstr("line 2"));
  EXPECT_THAT(opened.contents.live, IsEmpty());
  EXPECT_EQ(contents_of(file() + ".corrupt"), "{\"version\":1}\n{\"take\":\"a\"}\n");
  EXPECT_FALSE(open().mistake);
}

TEST_F(JournalOnDisk, IsLongOnlyAfterMuchHasBeenAppended) {
  RangeJournal journal = open().journal;
  EXPECT_FALSE(journal.is_long());
  for (int i = 0; i < 10000 && !journal.is_long(); ++i) {
    ASSERT_TRUE(journal.record_take("a", entry(100000)).ok());
    ASSERT_TRUE(journal.record_release("a").ok());
  }
  ASSERT_TRUE(journal.is_long());
  ASSERT_TRUE(journal.replace({{{"a", entry(100000)}}, {165536}}).ok());
  EXPECT_FALSE(journal.is_long());
  ASSERT_TRUE(journal.record_release("a").ok());
  EXPECT_THAT(open().contents.freed, ElementsAre(165536, 100000));
}

TEST_F(JournalOnDisk, AFullDiskIsAnErrorThatNamesTheFileAndLeavesItWhole) {
  RangeJournal journal = open().journal;
  const struct rlimit_guard {
    rlimit_guard() {
      ::getrlimit(RLIMIT_FSIZE, &old);
      struct rlimit small = old;
      small.rlim_cur = 100;
      ::signal(SIGXFSZ, SIG_IGN);
      ::setrlimit(RLIMIT_FSIZE, &small);
    }
    ~rlimit_guard() {
      ::setrlimit(RLIMIT_FSIZE, &old);
      ::signal(SIGXFSZ, SIG_DFL);
    }
    struct rlimit old {};
  } limited;
  const Result<void> taken = journal.record_take("a", entry(100000));
  ASSERT_FALSE(taken.ok());
  EXPECT_THAT(taken.error().message(), HasSubstr(file()));
  EXPECT_EQ(contents_of(file()), "{\"version\":1}\n");
}

struct Damage {
  const char* name;
  const char* text;
  const char* message;
};
class DamagedJournal : public ::testing::TestWithParam<Damage> {};

TEST_P(DamagedJournal, IsRefusedWithTheLine) {
  std::size_t whole_bytes = 0;
  const Result<JournalContents> contents = parse_journal(GetParam().text, whole_bytes);
  ASSERT_FALSE(contents.ok());
  EXPECT_THAT(contents.error().message(), HasSubstr(GetParam().message));
}

#define TAKE(id, first)                             \
  "{\"take\":\"" id "\",\"uids\":{\"first\":" first \
  ",\"count\":65536},"                              \
  "\"gids\":{\"first\":" first ",\"count\":65536}}\n"

#define JOIN(id, space)                        \
  "{\"take\":\"" id                            \
  "\",\"uids\":{\"first\":5,\"count\":65536}," \
  "\"gids\":{\"first\":5,\"count\":65536},\"user_namespace\":" space "}\n"

INSTANTIATE_TEST_SUITE_P(
    RangeJournal, DamagedJournal,
    ::testing::Values(
        Damage{"Garbage", "\x01\x02\n", "line 1: not valid JSON"},
        Damage{"NoHeader", TAKE("a", "100000"), "line 1: version: is missing"},
        Damage{"NewerVersion", "{\"version\":2}\n", "version 2"},
        Damage{"SameIdTwice", "{\"version\":1}\n" TAKE("a", "100000") TAKE("a", "200000"),
               "line 3: 'a' and 'a' hold the same ids"},
        Damage{"SharedIds", "{\"version\":1}\n" TAKE("a", "100000") TAKE("b", "100001"),
               "line 3: 'b' and 'a' hold the same ids"},
        Damage{"IdsOfTwoUserNamespaces", "{\"version\":1}\n" JOIN("a", "7") JOIN("b", "8"),
               "line 3: 'b' and 'a' hold the same ids"},
        Damage{"ReleaseOfNothing", "{\"version\":1}\n{\"release\":\"a\"}\n",
               "line 2: 'a' held no ids"},
        Damage{"EmptyRange",
               "{\"version\":1}\n{\"take\":\"a\",\"uids\":{\"first\":1,\"count\":0}}\n",
               "uids.count: must not be 0"},
        Damage{"NoRange", "{\"version\":1}\n{\"take\":\"a\"}\n", "'a' has no ids"}),
    [](const ::testing::TestParamInfo<Damage>& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace sysbox::mgr

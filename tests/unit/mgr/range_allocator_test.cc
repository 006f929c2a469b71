#include "mgr/range_allocator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace sysbox::mgr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

IdRange slot(std::uint32_t first) { return {first, kRangeSize}; }

TEST(RangeAllocator, CutsThePoolIntoWholeRanges) {
  const RangeAllocator allocator(
      {{100000, 2 * kRangeSize + 100}, {500000, 10}, {600000, kRangeSize}});
  EXPECT_EQ(allocator.pool_size(), 3U);
  EXPECT_THAT(allocator.free_firsts(), ElementsAre(100000, 165536, 600000));
}

TEST(RangeAllocator, GivesUnusedRangesFirstThenTheLeastRecentlyFreed) {
  RangeAllocator allocator({{100000, 3 * kRangeSize}});
  EXPECT_EQ(allocator.take("a").value(), slot(100000));
  EXPECT_EQ(allocator.take("b").value(), slot(165536));
  EXPECT_TRUE(allocator.release("b"));
  EXPECT_TRUE(allocator.release("a"));
  EXPECT_EQ(allocator.take("c").value(), slot(231072));
  EXPECT_EQ(allocator.take("d").value(), slot(165536));
  EXPECT_EQ(allocator.take("e").value(), slot(100000));
}

TEST(RangeAllocator, KeepsTheOrderOfAnEarlierLife) {
  RangeAllocator allocator({{100000, 3 * kRangeSize}}, {231072, 100000, 231072, 7});
  EXPECT_THAT(allocator.free_firsts(), ElementsAre(165536, 231072, 100000));
}

TEST(RangeAllocator, ExhaustionSaysHowManyThereAre) {
  RangeAllocator allocator({{100000, 2 * kRangeSize}});
  ASSERT_TRUE(allocator.take("a").ok());
  ASSERT_TRUE(allocator.take("b").ok());
  const Result<IdRange> none = allocator.take("c");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code(), ENOSPC);
  EXPECT_THAT(none.error().message(), HasSubstr("all 2 ranges of 65536"));
}

TEST(RangeAllocator, GivesSeveralInARowToWhoWantsMore) {
  RangeAllocator allocator({{100000, 3 * kRangeSize}, {600000, 2 * kRangeSize}});
  EXPECT_EQ(allocator.take("small").value(), slot(100000));
  EXPECT_EQ(allocator.take("large", kRangeSize + 1).value(), (IdRange{165536, 2 * kRangeSize}));
  EXPECT_EQ(allocator.free_count(), 2U);
  EXPECT_TRUE(allocator.release("small"));
  EXPECT_EQ(allocator.take("other", 2 * kRangeSize).value(), (IdRange{600000, 2 * kRangeSize}))
      << "two that do not lie side by side are none";
  EXPECT_TRUE(allocator.release("large"));
  EXPECT_THAT(allocator.free_firsts(), ElementsAre(100000, 165536, 231072));
  EXPECT_EQ(allocator.take("all", 3 * kRangeSize).value(), (IdRange{100000, 3 * kRangeSize}));
}

TEST(RangeAllocator, TooFewInARowIsAnErrorThatSaysSo) {
  RangeAllocator allocator({{100000, 3 * kRangeSize}});
  ASSERT_TRUE(allocator.hold("middle", {slot(165536), slot(165536)}).ok());
  const Result<IdRange> none = allocator.take("large", 2 * kRangeSize);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code(), ENOSPC);
  EXPECT_EQ(none.error().message(),
            "no 131072 host ids in a row are free: of 3 ranges of 65536, 2 are not in use by "
            "containers");
  EXPECT_FALSE(allocator.take("all", kMostIds).ok());
  EXPECT_EQ(allocator.free_count(), 2U);
}

TEST(RangeAllocator, GivenIdsThatOverlapNameTheOtherContainer) {
  RangeAllocator allocator({{100000, 2 * kRangeSize}});
  ASSERT_TRUE(allocator.take("first").ok());
  const Result<void> by_uid = allocator.hold("x", {{165535, 10}, {900000, 10}});
  ASSERT_FALSE(by_uid.ok());
  EXPECT_EQ(by_uid.error().code(), EBUSY);
  EXPECT_THAT(by_uid.error().message(), HasSubstr("uids 165535 to 165544"));
  EXPECT_THAT(by_uid.error().message(), HasSubstr("'first'"));
  const Result<void> by_gid = allocator.hold("x", {{900000, 10}, {100000, 1}});
  ASSERT_FALSE(by_gid.ok());
  EXPECT_THAT(by_gid.error().message(), HasSubstr("gids"));
}

TEST(RangeAllocator, GivenIdsInsideThePoolAreNotHandedOut) {
  RangeAllocator allocator({{100000, 2 * kRangeSize}});
  ASSERT_TRUE(allocator.hold("given", {{900000, 10}, {100005, 10}}).ok());
  EXPECT_EQ(allocator.take("a").value(), slot(165536));
  EXPECT_FALSE(allocator.take("b").ok());
  EXPECT_TRUE(allocator.release("given"));
  EXPECT_EQ(allocator.take("b").value(), slot(100000));
}

TEST(RangeAllocator, ReleaseOfAnUnknownIdIsFalse) {
  RangeAllocator allocator({{100000, kRangeSize}});
  EXPECT_FALSE(allocator.release("x"));
  EXPECT_EQ(allocator.free_count(), 1U);
}

TEST(RangeAllocator, TellsWhichRangesForeignIdsTouch) {
  RangeAllocator allocator({{100000, 3 * kRangeSize}});
  ASSERT_TRUE(allocator.take("a").ok());
  EXPECT_THAT(allocator.unheld_slots_in({100000, 3 * kRangeSize}),
              ElementsAre(slot(165536), slot(231072)));
  EXPECT_THAT(allocator.unheld_slots_in({231071, 2}), ElementsAre(slot(165536), slot(231072)));
}

TEST(RangeAllocator, ContainersOfOneUserNamespaceShareItsIdsUntilTheLastIsGone) {
  RangeAllocator allocator({{100000, 2 * kRangeSize}});
  const HeldRanges pod{slot(100000), slot(100000), 77};
  ASSERT_TRUE(allocator.hold("pause", pod).ok());
  EXPECT_TRUE(allocator.knows_namespace(77));
  ASSERT_TRUE(allocator.hold("app", pod).ok());
  EXPECT_EQ(allocator.free_count(), 1U);
  EXPECT_TRUE(allocator.release("pause"));
  EXPECT_EQ(allocator.free_count(), 1U) << "the second container still has them";
  EXPECT_EQ(allocator.take("other").value(), slot(165536));
  EXPECT_TRUE(allocator.release("app"));
  EXPECT_FALSE(allocator.knows_namespace(77));
  EXPECT_THAT(allocator.free_firsts(), ElementsAre(100000));
}

TEST(RangeAllocator, IdsOfOneUserNamespaceAreNotSharedWithAnother) {
  RangeAllocator allocator({{100000, 2 * kRangeSize}});
  const IdRange ids = slot(900000);
  ASSERT_TRUE(allocator.hold("pod", {ids, ids, 77}).ok());
  EXPECT_FALSE(allocator.hold("other-pod", {ids, ids, 78}).ok());
  EXPECT_FALSE(allocator.hold("makes-its-own", {ids, ids}).ok());
  EXPECT_FALSE(allocator.hold("part", {{900000, 10}, {900000, 10}, 77}).ok());
  EXPECT_FALSE(allocator.hold("other-gids", {ids, slot(1000000), 77}).ok());
}

TEST(RangeAllocator, WhoeverJoinsAContainersUserNamespaceMakesItKnown) {
  RangeAllocator allocator({{100000, 2 * kRangeSize}});
  const IdRange ids = allocator.take("maker").value();
  const HeldRanges joiner{ids, ids, 77};
  ASSERT_NE(allocator.unproven_maker(joiner), nullptr);
  EXPECT_EQ(*allocator.unproven_maker(joiner), "maker");
  ASSERT_TRUE(allocator.hold("joiner", joiner).ok());
  EXPECT_EQ(allocator.unproven_maker(joiner), nullptr);
  EXPECT_EQ(allocator.held().at("maker").user_namespace, 77U);
  EXPECT_FALSE(allocator.hold("other", {ids, ids, 78}).ok());
  EXPECT_TRUE(allocator.release("maker"));
  EXPECT_EQ(allocator.free_count(), 1U);
  EXPECT_TRUE(allocator.release("joiner"));
  EXPECT_EQ(allocator.free_count(), 2U);
}

// Whatever happens in whatever order: no two holders share an id, and nothing is lost.
TEST(RangeAllocator, NoTwoContainersEverShareAnId) {
  std::mt19937 random(4711);  // NOLINT(cert-msc51-cpp): the same sequence in each run
  RangeAllocator allocator({{100000, 8 * kRangeSize}});
  const auto below = [&random](std::uint32_t limit) {
    return std::uniform_int_distribution<std::uint32_t>(0, limit - 1)(random);
  };
  for (int step = 0; step < 20000; ++step) {
    const std::string id = std::to_string(below(12));
    const bool is_held = allocator.held().contains(id);
    if (is_held) {
      EXPECT_TRUE(allocator.release(id));
    } else if (below(3) == 0) {
      const IdRange given{90000 + below(700000), 1 + below(100000)};
      static_cast<void>(allocator.hold(id, {given, given}).ok());
    } else {
      static_cast<void>(allocator.take(id, kRangeSize * (1 + below(3))).ok());
    }
    for (auto a = allocator.held().begin(); a != allocator.held().end(); ++a) {
      for (auto b = std::next(a); b != allocator.held().end(); ++b) {
        ASSERT_FALSE(a->second.uids.overlaps(b->second.uids)) << a->first << " " << b->first;
        ASSERT_FALSE(a->second.gids.overlaps(b->second.gids)) << a->first << " " << b->first;
      }
    }
  }
  while (!allocator.held().empty()) allocator.release(std::string(allocator.held().begin()->first));
  EXPECT_EQ(allocator.free_count(), 8U);
}

}  // namespace
}  // namespace sysbox::mgr

#include "common/id_range.h"

#include <gtest/gtest.h>

namespace sysbox {
namespace {

TEST(IdRange, NeighboursDoNotOverlap) {
  const IdRange first{100000, 65536};
  EXPECT_FALSE(first.overlaps({165536, 65536}));
  EXPECT_TRUE(first.overlaps({165535, 1}));
  EXPECT_FALSE(first.contains(165536));
}

TEST(IdRange, TheLastIdsOfAllDoNotWrapAround) {
  const IdRange last{4294901760U, 65536};
  EXPECT_EQ(last.end(), 4294967296U);
  EXPECT_TRUE(last.contains(4294967295U));
  EXPECT_FALSE(last.overlaps({0, 1}));
}

TEST(IdMap, TranslatesBothWays) {
  const IdMap map = IdMap::onto({231072, 65536});
  EXPECT_EQ(map.to_host(0), 231072U);
  EXPECT_EQ(map.to_host(65535), 296607U);
  EXPECT_EQ(map.to_host(65536), std::nullopt);
  EXPECT_EQ(map.to_container(231073), 1U);
  EXPECT_EQ(map.to_container(0), std::nullopt);
  EXPECT_EQ(map.text(), "0 231072 65536\n");
}

TEST(IdMap, AdjacentLinesAreOneRange) {
  const IdMap map{{{0, 1000, 10}, {10, 1010, 5}}};
  EXPECT_EQ(map.as_single_range(), (IdRange{1000, 15}));
}

TEST(IdMap, GapsAndOtherStartsAreNoSingleRange) {
  EXPECT_EQ((IdMap{{{0, 1000, 10}, {11, 1010, 5}}}).as_single_range(), std::nullopt);
  EXPECT_EQ((IdMap{{{0, 1000, 10}, {10, 1020, 5}}}).as_single_range(), std::nullopt);
  EXPECT_EQ((IdMap{{{1, 1000, 10}}}).as_single_range(), std::nullopt);
  EXPECT_EQ(IdMap{}.as_single_range(), std::nullopt);
}

}  // namespace
}  // namespace sysbox

#include "common/id_map_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sysbox {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(IdMapText, IsReadAsTheKernelWritesIt) {
  EXPECT_THAT(parse_id_map_text("         0     231072      65536\n     70000          9          "
                                "1\n")
                  .entries,
              ElementsAre(IdMapEntry{0, 231072, 65536}, IdMapEntry{70000, 9, 1}));
}

TEST(IdMapText, LeavesOutLinesThatAreNone) {
  EXPECT_THAT(parse_id_map_text("").entries, IsEmpty());
  EXPECT_THAT(parse_id_map_text("0 1\nbad 1 1\n0 4294967296 1\n5 6 7").entries,
              ElementsAre(IdMapEntry{5, 6, 7}));
}

}  // namespace
}  // namespace sysbox

#include "fs-emulator/text_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sysbox::fs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(TextFields, CutLinesAndFields) {
  std::string_view text = "  a \tb\nlast";
  std::string_view line = next_line(text);
  EXPECT_EQ(next_field(line), "a");
  EXPECT_EQ(next_field(line), "b");
  EXPECT_EQ(next_field(line), "");
  EXPECT_EQ(next_line(text), "last");
  EXPECT_EQ(next_line(text), "");
}

TEST(TextFields, NumbersAreWholeOrNothing) {
  EXPECT_EQ(parse_unsigned(" 42\n"), 42U);
  EXPECT_EQ(parse_unsigned("18446744073709551615"), 18446744073709551615U);
  for (const char* bad : {"", "max", "-1", "4x", "4 5", "18446744073709551616"}) {
    EXPECT_FALSE(parse_unsigned(bad)) << bad;
  }
}

TEST(CpuList, HasRangesAndSingleCpus) {
  EXPECT_THAT(parse_cpu_list("0-2,5\n"), ElementsAre(0, 1, 2, 5));
  EXPECT_THAT(parse_cpu_list("7,3"), ElementsAre(3, 7));
}

TEST(CpuList, OfNonsenseIsEmpty) {
  for (const char* bad : {"", "\n", "3-1", "a", "0-", "0-99999999", "-1"}) {
    EXPECT_THAT(parse_cpu_list(bad), IsEmpty()) << bad;
  }
}

}  // namespace
}  // namespace sysbox::fs

#include <gtest/gtest.h>

#include <limits>

#include "fs-emulator/sysctl.h"

namespace sysbox::fs {
namespace {

constexpr std::int64_t kIntMin = std::numeric_limits<std::int32_t>::min();
constexpr std::int64_t kIntMax = std::numeric_limits<std::int32_t>::max();

Sysctl row(SysctlFormat format, std::int64_t min, std::int64_t max, std::size_t count = 1) {
  return {"/proc/sys/test", 0644, SysctlPolicy::StoredPerContainer, format, min, max, "0", count};
}

const Sysctl kAnyInt = row(SysctlFormat::kInt, kIntMin, kIntMax);
const Sysctl kZeroToTwo = row(SysctlFormat::kInt, 0, 2);
const Sysctl kUnsigned = row(SysctlFormat::kUnsigned, 1, kIntMax);
const Sysctl kLong =
    row(SysctlFormat::kUnsignedLong, 8192, std::numeric_limits<std::int64_t>::max());
const Sysctl kFourInts = row(SysctlFormat::kInt, kIntMin, kIntMax, 4);
const Sysctl kPipe = row(SysctlFormat::kPipeSize, 0, kIntMax);
const Sysctl kShortText = row(SysctlFormat::kText, 0, 8);

struct Case {
  const char* name;
  const Sysctl* sysctl;
  std::string written;
  std::string stored;  // "": EINVAL
};

class SysctlWrite : public ::testing::TestWithParam<Case> {};

TEST_P(SysctlWrite, IsTakenAsTheKernelTakesIt) {
  const Case& param = GetParam();
  const std::string current = param.sysctl == &kFourInts ? "1\t2\t3\t4\n" : "5\n";
  const Result<std::string> stored = parse_sysctl_write(*param.sysctl, current, param.written);
  if (param.stored.empty()) {
    ASSERT_FALSE(stored.ok()) << stored.value();
    EXPECT_EQ(stored.error().code(), EINVAL);
  } else {
    ASSERT_TRUE(stored.ok());
    EXPECT_EQ(stored.value(), param.stored);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Values, SysctlWrite,
    ::testing::Values(
        Case{"Plain", &kAnyInt, "10", "10\n"}, Case{"Newline", &kAnyInt, "10\n", "10\n"},
        Case{"LeadingSpaces", &kAnyInt, " \t\n 7", "7\n"},
        Case{"TrailingSpaces", &kAnyInt, "7 \n \n", "7\n"}, Case{"Minus", &kAnyInt, "-1\n", "-1\n"},
        Case{"Plus", &kAnyInt, "+1", ""}, Case{"Hexadecimal", &kAnyInt, "0x1F", "31\n"},
        Case{"Octal", &kAnyInt, "010", "8\n"}, Case{"Zero", &kAnyInt, "0\n", "0\n"},
        Case{"BadOctal", &kAnyInt, "08", ""}, Case{"Empty", &kAnyInt, "", ""},
        Case{"OnlySpaces", &kAnyInt, " \n", ""}, Case{"Word", &kAnyInt, "abc", ""},
        Case{"Garbage", &kAnyInt, "5x", ""}, Case{"TwoNumbers", &kAnyInt, "5 6", "5\n"},
        Case{"NumberThenWord", &kAnyInt, "5 x", "5\n"}, Case{"Comma", &kAnyInt, "5,6", ""},
        Case{"LargestInt", &kAnyInt, "2147483647", "2147483647\n"},
        Case{"BeyondInt", &kAnyInt, "2147483648", ""},
        Case{"SmallestInt", &kAnyInt, "-2147483648", "-2147483648\n"},
        Case{"BelowInt", &kAnyInt, "-2147483649", ""},
        Case{"LongerThanTheKernelsBuffer", &kAnyInt, "0000000000000000000000000001", ""},
        Case{"MinusAlone", &kAnyInt, "-", ""}, Case{"TwoMinus", &kAnyInt, "--1", ""},
        Case{"NulByte", &kAnyInt, std::string("5\0", 2), ""},
        Case{"InRange", &kZeroToTwo, "2", "2\n"}, Case{"AboveRange", &kZeroToTwo, "3", ""},
        Case{"BelowRange", &kZeroToTwo, "-1", ""}, Case{"UnsignedMinus", &kUnsigned, "-1", ""},
        Case{"UnsignedBelow", &kUnsigned, "0", ""},
        Case{"Long", &kLong, "9223372036854775807\n", "9223372036854775807\n"},
        Case{"LongBelow", &kLong, "8191", ""},
        Case{"LongTooLong", &kLong, "99999999999999999999", ""},
        Case{"LongMinus", &kLong, "-1", ""}, Case{"LongEmpty", &kLong, "\n", ""},
        Case{"AllFour", &kFourInts, "7 6\t5 4\n", "7\t6\t5\t4\n"},
        Case{"FewerKeepTheRest", &kFourInts, "8\n", "8\t2\t3\t4\n"},
        Case{"SecondIsGarbage", &kFourInts, "8 x", ""},
        Case{"PipeRoundsUp", &kPipe, "70000", "131072\n"},
        Case{"PipeIsAPageAtLeast", &kPipe, "1", "4096\n"},
        Case{"PipeTooLarge", &kPipe, "4294967295", ""},
        Case{"Text", &kShortText, "core\n", "core\n"},
        Case{"TextEndsAtTheLine", &kShortText, "a b\nc", "a b\n"},
        Case{"TextIsCut", &kShortText, "0123456789", "01234567\n"},
        Case{"TextEmpty", &kShortText, "\n", "\n"}),
    [](const auto& test) { return test.param.name; });

TEST(SysctlWrite, LooksAtOnePageOnly) {
  const std::string spaces(5000, ' ');
  EXPECT_FALSE(parse_sysctl_write(kAnyInt, "5\n", spaces + "7").ok());
  EXPECT_EQ(parse_sysctl_write(kAnyInt, "5\n", "7" + spaces).value_or(""), "7\n");
}

}  // namespace
}  // namespace sysbox::fs

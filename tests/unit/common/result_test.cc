#include "common/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace sysbox {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return Error(EINVAL, join(number, " is odd"));
  return number / 2;
}

Result<int> quarter(int number) {
  const int once = TRY(half(number).in("first"));
  return half(once).in("second");
}

TEST(Result, TryPassesValuesOn) { EXPECT_EQ(quarter(8).value(), 2); }

TEST(Result, TryReturnsTheErrorWithItsContext) {
  const Result<int> result = quarter(6);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message(), "second: 3 is odd");
  EXPECT_EQ(result.error().code(), EINVAL);
}

TEST(Result, CarriesWhatCannotBeCopied) {
  const auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(7); };
  const auto use = [&]() -> Result<int> {
    const std::unique_ptr<int> pointer = TRY(make());
    return *pointer;
  };
  EXPECT_EQ(use().value(), 7);
}

TEST(Error, OfErrnoNamesOperationObjectAndCause) {
  errno = ENOENT;
  EXPECT_EQ(last_error("open '", std::string("/x"), "'").message(),
            "open '/x': No such file or directory");
}

TEST(Error, OfAnUnknownErrnoHasAText) { EXPECT_STREQ(errno_text(99999), "Unknown error"); }

}  // namespace
}  // namespace sysbox

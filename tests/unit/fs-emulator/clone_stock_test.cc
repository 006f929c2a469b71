#include "fs-emulator/clone_stock.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "common/syscalls.h"
#include "fs-emulator/background_work.h"

namespace sysbox::testing {
namespace {

// With descriptors of files for trees.
struct Stock {
  const std::shared_ptr<std::atomic<int>> clones = std::make_shared<std::atomic<int>>(0);
  const std::shared_ptr<fs::CloneStock> stock = std::make_shared<fs::CloneStock>(
      sys::open("/dev/null", O_RDONLY).value(), [count = clones](int tree) -> Result<UniqueFd> {
        ++*count;
        return UniqueFd(::fcntl(tree, F_DUPFD_CLOEXEC, 0));
      });
};

TEST(CloneStock, ClonesWhenAsked) {
  const Stock of;
  EXPECT_TRUE(of.stock->take().ok());
  EXPECT_TRUE(of.stock->take().ok());
  EXPECT_EQ(*of.clones, 2);
}

TEST(CloneStock, HasTheNextOneReady) {
  const Stock of;
  for (int i = 0; i < 2; ++i) of.stock->restock_later();
  fs::BackgroundWork::instance().finish();
  EXPECT_EQ(*of.clones, 1);
  const Result<UniqueFd> clone = of.stock->take();
  ASSERT_TRUE(clone.ok());
  EXPECT_TRUE(clone.value().valid());
  EXPECT_EQ(*of.clones, 1);
  EXPECT_TRUE(of.stock->take().ok());
  EXPECT_EQ(*of.clones, 2);
}

TEST(CloneStock, MayEndBeforeItIsFilled) {
  for (int i = 0; i < 10; ++i) Stock().stock->restock_later();
  fs::BackgroundWork::instance().finish();
}

}  // namespace
}  // namespace sysbox::testing

#include "fs-emulator/clone_stock.h"

#include <utility>

#include "fs-emulator/background_work.h"

namespace sysbox::fs {

// The end of a tree takes longer than what it is replaced for.
CloneStock::~CloneStock() {
  BackgroundWork::instance().close(std::move(tree_));
  if (ready_.valid()) BackgroundWork::instance().close(std::move(ready_));
}

Result<UniqueFd> CloneStock::take() {
  {
    const std::lock_guard lock(mutex_);
    if (ready_.valid()) return std::move(ready_);
  }
  return clone_(tree_.get());
}

void CloneStock::restock_later() {
  {
    const std::lock_guard lock(mutex_);
    if (ready_.valid()) return;
  }
  static_cast<void>(BackgroundWork::instance().add([weak = weak_from_this()]() -> Result<void> {
    const std::shared_ptr<CloneStock> stock = weak.lock();
    return stock ? stock->restock() : Result<void>();
  }));
}

Result<void> CloneStock::restock() {
  {
    const std::lock_guard lock(mutex_);
    if (ready_.valid()) return {};
  }
  UniqueFd clone = TRY(clone_(tree_.get()));
  const std::lock_guard lock(mutex_);
  std::swap(ready_, clone);
  return {};
}

}  // namespace sysbox::fs

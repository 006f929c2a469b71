#pragma once

// A detached mount tree that is cloned again and again; the next clone is made ahead.

#include <functional>
#include <memory>
#include <mutex>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox::fs {

class CloneStock : public std::enable_shared_from_this<CloneStock> {
 public:
  using Clone = std::function<Result<UniqueFd>(int tree)>;
  CloneStock(UniqueFd tree, Clone clone) : tree_(std::move(tree)), clone_(std::move(clone)) {}
  ~CloneStock();
  CloneStock(const CloneStock&) = delete;
  CloneStock& operator=(const CloneStock&) = delete;

  Result<UniqueFd> take();
  // In the background, if a clone was taken: to be called when the taker is done, for the kernel
  // makes one change of mounts at a time.
  void restock_later();

 private:
  Result<void> restock();

  UniqueFd tree_;
  const Clone clone_;
  std::mutex mutex_;  // of what follows
  UniqueFd ready_;
};

}  // namespace sysbox::fs

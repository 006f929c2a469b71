#pragma once

// Systemd makes a scope only around a process, and takes it away with the last one. Until the
// container's own is there, this child of ours is in it.

#include <sys/types.h>

#include <utility>

#include "common/result.h"

namespace sysbox::runc {

class ScopeKeeper {
 public:
  // A process that does nothing, until this object or its parent ends.
  static Result<ScopeKeeper> start();

  ScopeKeeper() = default;
  ~ScopeKeeper() { end(); }
  ScopeKeeper(ScopeKeeper&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  ScopeKeeper& operator=(ScopeKeeper&& other) noexcept {
    if (this != &other) {
      end();
      pid_ = std::exchange(other.pid_, -1);
    }
    return *this;
  }
  ScopeKeeper(const ScopeKeeper&) = delete;
  ScopeKeeper& operator=(const ScopeKeeper&) = delete;

  pid_t pid() const { return pid_; }

 private:
  void end();
  pid_t pid_ = -1;
};

}  // namespace sysbox::runc

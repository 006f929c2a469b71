#pragma once

// FUSE connections that are ready before a container asks for them: opening one, its first words
// with the kernel and the look-up of every name in it take longer than all the rest of Register.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "common/result.h"
#include "fs-emulator/fuse_loop.h"
#include "fs-emulator/fuse_session.h"

namespace sysbox::fs {

class SpareSessions {
 public:
  // Keeps `count` sessions, made by a thread that sleeps while there are so many.
  SpareSessions(FuseLoop& loop, std::size_t count);
  ~SpareSessions();
  SpareSessions(const SpareSessions&) = delete;
  SpareSessions& operator=(const SpareSessions&) = delete;

  // A spare session, or a new one if there is none; the FuseLoop serves it.
  Result<std::shared_ptr<FuseSession>> take();

 private:
  Result<std::shared_ptr<FuseSession>> open();
  void keep_count();

  FuseLoop& loop_;
  const std::size_t count_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<FuseSession>> spares_;
  bool stopping_ = false;
  std::thread keeper_;
};

}  // namespace sysbox::fs

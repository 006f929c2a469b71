#pragma once

// Work that no caller has to wait for: the ends of mounts, and mounts made ahead.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox::fs {

class BackgroundWork {
 public:
  // In the host's namespaces, with file system attributes that no other thread shares. After
  // ENOTRECOVERABLE, not having got back there, the thread ends.
  using Task = std::function<Result<void>()>;

  // The process's only one, which is never deleted. Its thread starts with the first task and ends
  // when there has been nothing to do for a while.
  static BackgroundWork& instance();

  // False, and nothing is done, if too much is waiting already.
  bool add(Task task);
  void close(UniqueFd fd);  // here and now, if too much is waiting

  // Waits until nothing is left to do.
  void finish();

 private:
  BackgroundWork() = default;
  bool start_thread(std::unique_lock<std::mutex>& lock);
  void work();

  enum class Thread { kNone, kStarting, kReady };
  std::mutex mutex_;
  std::condition_variable started_;
  std::condition_variable added_;
  std::condition_variable finished_;
  std::deque<Task> waiting_;
  Thread thread_ = Thread::kNone;
  bool is_at_work_ = false;
};

}  // namespace sysbox::fs

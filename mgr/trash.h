#pragma once

// Trash: directories to be deleted, moved aside first so that their names are free at once, and
// deleted by a thread of its own. What a crash leaves in it goes at the next start.

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox::mgr {

// Deletes all that the directory holds; follows no symbolic link and enters no mount. What
// cannot be deleted stays, the rest goes all the same; the first such error is returned. Deep
// levels of a tree are moved to the directory itself first, so no tree is too deep.
Result<void> delete_contents(int directory_fd, const std::atomic<bool>& stopping);

class Trash {
 public:
  // Takes the directory over and starts the thread, which deletes what is in it already.
  explicit Trash(UniqueFd directory);
  ~Trash();
  Trash(const Trash&) = delete;
  Trash& operator=(const Trash&) = delete;

  // Moves `name` of `parent_fd`, on the same file system, into the trash.
  Result<void> put(int parent_fd, const std::string& name);
  // Waits until all has been deleted, or tried.
  void wait_until_idle();

 private:
  void run();

  UniqueFd directory_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool has_work_ = true;
  bool is_working_ = false;
  std::thread thread_;
};

}  // namespace sysbox::mgr

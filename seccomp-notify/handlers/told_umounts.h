#pragma once

// Which locked mounts callers were told to be unmounted, and who has noticed that they are not.
//
// One kind of program takes down all that mountinfo shows below a place, once (umount
// --recursive). Another looks at mountinfo anew after each success, until nothing can be unmounted
// any more (systemd, for each service with mounts of its own): were it told of each mount by
// itself, it would try the square of their number. It shows by trying one that it was told of.

#include <cstdint>
#include <deque>
#include <mutex>
#include <unordered_set>

#include "common/result.h"
#include "seccomp-notify/tracee.h"

namespace sysbox::seccomp {

class ToldUmounts {
 public:
  // The process's only one, which is never deleted.
  static ToldUmounts& instance();

  // Whether the caller is to be told that the mount is unmounted: nobody was before, and the caller
  // has not tried again what it was told of.
  Result<bool> tell(const Tracee& tracee, const Caller& caller, std::uint64_t mount_number);
  Result<bool> tries_again(const Tracee& tracee, const Caller& caller) const;

 private:
  struct Task {
    pid_t tid;
    std::uint64_t start_time;
    bool operator==(const Task&) const = default;
  };
  static Result<Task> task_of(const Tracee& tracee, const Caller& caller);

  mutable std::mutex mutex_;  // of what follows, of all containers
  std::unordered_set<std::uint64_t> numbers_;
  std::deque<std::uint64_t> oldest_numbers_first_;
  std::deque<Task> tasks_that_try_again_;  // the oldest first
};

}  // namespace sysbox::seccomp

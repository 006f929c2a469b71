#include "seccomp-notify/handlers/told_umounts.h"

#include <algorithm>

#include "common/process_status.h"
#include "common/syscalls.h"

namespace sysbox::seccomp {
namespace {

constexpr std::size_t kMostNumbers = 1U << 14U;
constexpr std::size_t kMostTasks = 256;

}  // namespace

ToldUmounts& ToldUmounts::instance() {
  static auto* const only_one = new ToldUmounts();
  return *only_one;
}

Result<ToldUmounts::Task> ToldUmounts::task_of(const Tracee& tracee, const Caller& caller) {
  const std::string stat = TRY(sys::read_file_at(caller.directory.get(), "stat"));
  return Task{tracee.tid_on_host(), TRY(parse_process_stat(stat)).start_time};
}

Result<bool> ToldUmounts::tell(const Tracee& tracee, const Caller& caller,
                               std::uint64_t mount_number) {
  const Task task = TRY(task_of(tracee, caller));
  const std::lock_guard lock(mutex_);
  if (numbers_.insert(mount_number).second) {
    oldest_numbers_first_.push_back(mount_number);
    if (oldest_numbers_first_.size() > kMostNumbers) {
      numbers_.erase(oldest_numbers_first_.front());
      oldest_numbers_first_.pop_front();
    }
    return true;
  }
  tasks_that_try_again_.push_back(task);
  if (tasks_that_try_again_.size() > kMostTasks) tasks_that_try_again_.pop_front();
  return false;
}

Result<bool> ToldUmounts::tries_again(const Tracee& tracee, const Caller& caller) const {
  {
    const std::lock_guard lock(mutex_);
    const auto is_its_number = [&](const Task& task) { return task.tid == tracee.tid_on_host(); };
    if (std::none_of(tasks_that_try_again_.begin(), tasks_that_try_again_.end(), is_its_number)) {
      return false;
    }
  }
  const Task task = TRY(task_of(tracee, caller));
  const std::lock_guard lock(mutex_);
  return std::find(tasks_that_try_again_.begin(), tasks_that_try_again_.end(), task) !=
         tasks_that_try_again_.end();
}

}  // namespace sysbox::seccomp

#include "fs-emulator/background_work.h"

#include <sched.h>

#include <chrono>
#include <memory>
#include <system_error>
#include <thread>

#include "common/log.h"
#include "common/syscalls.h"

namespace sysbox::fs {
namespace {

constexpr std::size_t kMostWaiting = 64;
constexpr std::chrono::seconds kIdleThreadTimeout{10};

}  // namespace

BackgroundWork& BackgroundWork::instance() {
  static auto* const only_one = new BackgroundWork();  // its thread uses it until the end
  return *only_one;
}

bool BackgroundWork::add(Task task) {
  std::unique_lock lock(mutex_);
  if (waiting_.size() >= kMostWaiting) return false;
  if (thread_ == Thread::kNone && !start_thread(lock)) return false;
  waiting_.push_back(std::move(task));
  added_.notify_one();
  return true;
}

// A new thread shares the file system attributes of the one that starts it, which until that has
// ended can change no mount namespace. So that is waited for.
bool BackgroundWork::start_thread(std::unique_lock<std::mutex>& lock) {
  thread_ = Thread::kStarting;
  try {
    std::thread([this] { work(); }).detach();
  } catch (const std::system_error&) {  // too many already
    thread_ = Thread::kNone;
    return false;
  }
  started_.wait(lock, [this] { return thread_ != Thread::kStarting; });
  return thread_ == Thread::kReady;
}

void BackgroundWork::close(UniqueFd fd) {
  const auto kept = std::make_shared<UniqueFd>(std::move(fd));
  static_cast<void>(add([kept]() -> Result<void> {
    kept->reset();
    return {};
  }));
}

void BackgroundWork::finish() {
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [this] { return waiting_.empty() && !is_at_work_; });
}

void BackgroundWork::work() {
  // It must not take the processor from the thread that is about to answer a caller.
  const sched_param no_priority{};
  static_cast<void>(::sched_setscheduler(0, SCHED_BATCH, &no_priority));
  bool is_fit = sys::unshare(CLONE_FS).ok();
  std::unique_lock lock(mutex_);
  thread_ = is_fit ? Thread::kReady : Thread::kNone;
  started_.notify_all();
  const auto is_called = [this] { return !waiting_.empty(); };
  while (is_fit && added_.wait_for(lock, kIdleThreadTimeout, is_called)) {
    Result<void> done;
    {
      const Task task = std::move(waiting_.front());
      waiting_.pop_front();
      is_at_work_ = true;
      lock.unlock();
      done = task();
    }  // what it held ends before anyone is told
    if (!done.ok()) log::error("mounts: ", done.error().message());
    is_fit = done.ok() || done.error().code() != ENOTRECOVERABLE;
    lock.lock();
    is_at_work_ = false;
    if (waiting_.empty()) finished_.notify_all();
  }
  thread_ = Thread::kNone;
  // What an unfit thread leaves is given up; it was of use, but nothing hangs on it.
  waiting_.clear();
  finished_.notify_all();
}

}  // namespace sysbox::fs

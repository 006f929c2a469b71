#pragma once

// Scripted seccomp notifications: a listener is the read end of a pipe, which becomes readable
// with each call and hangs up as a real one does when the last task with the filter is gone.

#include <linux/seccomp.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "common/syscalls.h"
#include "seccomp-notify/notify_kernel.h"

namespace sysbox::testing {

class FakeNotifyKernel : public seccomp::NotifyKernel {
 public:
  struct Listener {
    UniqueFd to_serve;
    UniqueFd hang_up;  // close it
  };
  Listener make_listener() {
    auto [read_end, write_end] = sys::pipe().value();
    return {std::move(read_end), std::move(write_end)};
  }

  // A task calls; `id` is unique.
  void trap(const Listener& listener, std::uint64_t id) {
    {
      const std::lock_guard lock(mutex_);
      seccomp::Notification call;
      call.id = id;
      calls_[listener.hang_up.get()].push_back(call);
    }
    const int key = listener.hang_up.get();
    if (::write(key, &key, sizeof key) != sizeof key) std::abort();
  }
  // The task of the call is killed before the call is received.
  void kill_caller(std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    killed_.insert(id);
  }

  Result<seccomp::Notification> receive(int listener, std::span<std::byte> raw) override {
    int key = -1;
    if (::read(listener, &key, sizeof key) != sizeof key) return last_error("receive");
    const std::lock_guard lock(mutex_);
    const seccomp::Notification call = calls_[key].front();
    calls_[key].pop_front();
    if (killed_.contains(call.id)) return errno_error(ENOENT, "receive");
    ++received_;
    struct seccomp_notif bytes {};
    bytes.id = call.id;
    std::memcpy(raw.data(), &bytes, sizeof bytes);
    return call;
  }
  bool is_waiting(int /*listener*/, std::uint64_t id) override {
    const std::lock_guard lock(mutex_);
    return !answers_.contains(id);
  }
  Result<void> answer(int /*listener*/, std::uint64_t id,
                      const seccomp::Verdict& verdict) override {
    const std::lock_guard lock(mutex_);
    if (!answers_.emplace(id, verdict).second) ++answered_twice_;
    answered_.notify_all();
    return {};
  }

  // Nothing if the call is not answered in time.
  std::optional<seccomp::Verdict> wait_for_answer(
      std::uint64_t id, std::chrono::milliseconds timeout = std::chrono::seconds(5)) {
    std::unique_lock lock(mutex_);
    if (!answered_.wait_for(lock, timeout, [&] { return answers_.contains(id); })) {
      return std::nullopt;
    }
    return answers_.at(id);
  }
  int received() {
    const std::lock_guard lock(mutex_);
    return received_;
  }
  int answered_twice() {
    const std::lock_guard lock(mutex_);
    return answered_twice_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable answered_;
  std::map<int, std::deque<seccomp::Notification>> calls_;
  std::map<std::uint64_t, seccomp::Verdict> answers_;
  std::set<std::uint64_t> killed_;
  int received_ = 0;
  int answered_twice_ = 0;
};

}  // namespace sysbox::testing

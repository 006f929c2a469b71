#pragma once

// One thread for all files of the host whose events are passed on to pollers inside. It starts with
// the first of them and sleeps until something happens.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox::fs {

class EventListener {
 public:
  EventListener() = default;
  EventListener(const EventListener&) = delete;
  EventListener& operator=(const EventListener&) = delete;
  virtual ~EventListener() = default;

  // On the watch's thread; `events`: EPOLL* bits.
  virtual void happened(std::uint32_t events) = 0;
};

class EventWatch {
 public:
  static EventWatch& instance();
  ~EventWatch();
  EventWatch(const EventWatch&) = delete;
  EventWatch& operator=(const EventWatch&) = delete;

  // Until `fd`, which is the listener's, is closed. `events`: EPOLL* bits.
  Result<void> add(int fd, std::uint32_t events, const std::shared_ptr<EventListener>& listener);

 private:
  EventWatch();
  Result<void> wait_for(int fd, std::uint32_t events, std::uint64_t key);
  std::shared_ptr<EventListener> find(std::uint64_t key);
  void work();

  const UniqueFd epoll_;
  const UniqueFd stop_;
  std::mutex mutex_;
  std::map<std::uint64_t, std::weak_ptr<EventListener>> listeners_;
  std::uint64_t last_key_;
  std::thread thread_;
};

}  // namespace sysbox::fs

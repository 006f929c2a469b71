#include "fs-emulator/event_watch.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "common/log.h"

namespace sysbox::fs {
namespace {

constexpr std::uint64_t kStopKey = 0;

}  // namespace

EventWatch& EventWatch::instance() {
  static EventWatch watch;
  return watch;
}

EventWatch::EventWatch()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      stop_(::eventfd(0, EFD_CLOEXEC)),
      last_key_(kStopKey) {
  // Without descriptors add() says so, too.
  const Result<void> can_stop = wait_for(stop_.get(), EPOLLIN, kStopKey);
  if (!can_stop.ok()) log::error(can_stop.error().message());
  thread_ = std::thread([this] { work(); });
}

EventWatch::~EventWatch() {
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

Result<void> EventWatch::add(int fd, std::uint32_t events,
                             const std::shared_ptr<EventListener>& listener) {
  const std::lock_guard lock(mutex_);
  std::erase_if(listeners_, [](const auto& entry) { return entry.second.expired(); });
  TRY(wait_for(fd, events, ++last_key_));
  listeners_.emplace(last_key_, listener);
  return {};
}

Result<void> EventWatch::wait_for(int fd, std::uint32_t events, std::uint64_t key) {
  struct epoll_event event {};
  event.events = events;
  event.data.u64 = key;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return last_error("wait for events of a file");
  }
  return {};
}

std::shared_ptr<EventListener> EventWatch::find(std::uint64_t key) {
  const std::lock_guard lock(mutex_);
  const auto found = listeners_.find(key);
  return found == listeners_.end() ? nullptr : found->second.lock();
}

void EventWatch::work() {
  for (;;) {
    struct epoll_event event {};
    const int ready = ::epoll_wait(epoll_.get(), &event, 1, -1);
    if (ready < 0 && errno != EINTR) return;
    if (ready != 1) continue;
    if (event.data.u64 == kStopKey) return;
    const std::shared_ptr<EventListener> listener = find(event.data.u64);
    if (listener) listener->happened(event.events);
  }
}

}  // namespace sysbox::fs

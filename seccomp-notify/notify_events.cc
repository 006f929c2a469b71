#include "seccomp-notify/notify_events.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <algorithm>

namespace sysbox::seccomp {
namespace {

constexpr std::uint32_t kListenerEvents = EPOLLIN | EPOLLONESHOT;

Result<void> control(int epoll_fd, int operation, int fd, std::uint32_t events, std::uint64_t key) {
  struct epoll_event event {};
  event.events = events;
  event.data.u64 = key;
  if (::epoll_ctl(epoll_fd, operation, fd, &event) != 0)
    return last_error("notify loop: epoll_ctl");
  return {};
}

}  // namespace

Result<void> NotifyEvents::open() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  UniqueFd inherited(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE));
  if (!epoll || !stop || !timer || !inherited) return last_error("notify loop");
  TRY(control(epoll.get(), EPOLL_CTL_ADD, stop.get(), EPOLLIN, kStop));
  TRY(control(epoll.get(), EPOLL_CTL_ADD, timer.get(), EPOLLIN, kDeadline));
  TRY(control(epoll.get(), EPOLL_CTL_ADD, inherited.get(), EPOLLIN, kInherited));
  epoll_ = std::move(epoll);
  stop_ = std::move(stop);
  timer_ = std::move(timer);
  inherited_ = std::move(inherited);
  return {};
}

Result<void> NotifyEvents::add(int listener, std::uint64_t key) const {
  return control(epoll_.get(), EPOLL_CTL_ADD, listener, kListenerEvents, key);
}

Result<void> NotifyEvents::arm(int listener, std::uint64_t key) const {
  return control(epoll_.get(), EPOLL_CTL_MOD, listener, kListenerEvents, key);
}

void NotifyEvents::remove(int listener) const {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener, nullptr);
}

void NotifyEvents::announce_stop() const { ::eventfd_write(stop_.get(), 1); }
void NotifyEvents::announce_inherited() const { ::eventfd_write(inherited_.get(), 1); }

bool NotifyEvents::take_inherited() const {
  eventfd_t taken = 0;
  return ::eventfd_read(inherited_.get(), &taken) == 0;
}

Result<void> NotifyEvents::set_deadline(Deadline deadline) const {
  struct itimerspec when {};
  const int milliseconds = std::max(1, milliseconds_until(deadline));
  when.it_value.tv_sec = milliseconds / 1000;
  when.it_value.tv_nsec = (milliseconds % 1000) * 1000000L;
  if (::timerfd_settime(timer_.get(), 0, &when, nullptr) != 0) return last_error("timerfd_settime");
  return {};
}

bool NotifyEvents::take_deadline() const {
  std::uint64_t expirations = 0;
  return ::read(timer_.get(), &expirations, sizeof expirations) > 0;
}

bool NotifyEvents::wait(int timeout_ms, Event& event) const {
  struct epoll_event one {};
  if (::epoll_wait(epoll_.get(), &one, 1, timeout_ms) <= 0) return false;
  event = {one.data.u64, one.events};
  return true;
}

}  // namespace sysbox::seccomp

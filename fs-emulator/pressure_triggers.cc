#include "fs-emulator/pressure_triggers.h"

#include <fuse_lowlevel.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "common/log.h"

namespace sysbox::fs {
namespace {

// Each costs the kernel a look at the pressure several times in each of its windows.
constexpr std::size_t kMaxTriggers = 32;
// What the kernel says of any pressure file, and of one without a trigger.
constexpr unsigned kAlways = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
constexpr unsigned kNoTrigger = POLLERR | POLLPRI;

struct WaiterDestroyer {
  void operator()(struct fuse_pollhandle* waiter) const { fuse_pollhandle_destroy(waiter); }
};
using Waiter = std::unique_ptr<struct fuse_pollhandle, WaiterDestroyer>;

}  // namespace

class PressureTriggers::Trigger {
 public:
  explicit Trigger(UniqueFd file) : file_(std::move(file)) {}
  int fd() const { return file_.get(); }

  void fire(unsigned events) {
    const std::lock_guard lock(mutex_);
    pending_ |= POLLPRI;
    if ((events & EPOLLERR) != 0) lasting_ |= POLLERR | POLLPRI;  // the cgroup is gone
    if (waiter_) fuse_lowlevel_notify_poll(waiter_.get());
  }

  unsigned poll(Waiter waiter) {
    const std::lock_guard lock(mutex_);
    if (waiter) waiter_ = std::move(waiter);
    return kAlways | lasting_ | std::exchange(pending_, 0U);
  }

  // From here on nobody is told anything.
  void close() {
    const std::lock_guard lock(mutex_);
    waiter_.reset();
  }

 private:
  const UniqueFd file_;
  std::mutex mutex_;
  unsigned pending_ = 0;
  unsigned lasting_ = 0;
  Waiter waiter_;
};

// One thread for all triggers there are, from the first one on. It sleeps until one fires.
class PressureTriggers::Watch {
 public:
  static Watch& instance() {
    static Watch watch;
    return watch;
  }
  ~Watch() {
    ::eventfd_write(stop_.get(), 1);
    thread_.join();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Until the trigger's file is closed.
  Result<void> add(const std::shared_ptr<Trigger>& trigger) {
    const std::lock_guard lock(mutex_);
    std::erase_if(triggers_, [](const auto& entry) { return entry.second.expired(); });
    TRY(wait_for(trigger->fd(), EPOLLPRI | EPOLLET, ++last_key_));
    triggers_.emplace(last_key_, trigger);
    return {};
  }

 private:
  static constexpr std::uint64_t kStopKey = 0;

  Watch() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), stop_(::eventfd(0, EFD_CLOEXEC)) {
    // Without descriptors add() says so, too.
    const Result<void> can_stop = wait_for(stop_.get(), EPOLLIN, kStopKey);
    if (!can_stop.ok()) log::error(can_stop.error().message());
    thread_ = std::thread([this] { work(); });
  }

  Result<void> wait_for(int fd, std::uint32_t events, std::uint64_t key) {
    struct epoll_event event {};
    event.events = events;
    event.data.u64 = key;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      return last_error("wait for pressure triggers");
    }
    return {};
  }

  std::shared_ptr<Trigger> find(std::uint64_t key) {
    const std::lock_guard lock(mutex_);
    const auto found = triggers_.find(key);
    return found == triggers_.end() ? nullptr : found->second.lock();
  }

  void work() {
    for (;;) {
      struct epoll_event event {};
      const int ready = ::epoll_wait(epoll_.get(), &event, 1, -1);
      if (ready < 0 && errno != EINTR) return;
      if (ready != 1) continue;
      if (event.data.u64 == kStopKey) return;
      const std::shared_ptr<Trigger> trigger = find(event.data.u64);
      if (trigger) trigger->fire(event.events);
    }
  }

  const UniqueFd epoll_;
  const UniqueFd stop_;
  std::mutex mutex_;
  std::map<std::uint64_t, std::weak_ptr<Trigger>> triggers_;
  std::uint64_t last_key_ = kStopKey;
  std::thread thread_;
};

PressureTriggers::~PressureTriggers() { release_all(); }

Result<void> PressureTriggers::set(std::uint64_t handle, UniqueFd pressure_file,
                                   std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (triggers_.contains(handle)) return errno_error(EBUSY, "pressure trigger");
  if (triggers_.size() >= kMaxTriggers) return errno_error(ENOMEM, "pressure triggers");
  // In one piece: each write is a trigger of its own.
  if (::write(pressure_file.get(), text.data(), text.size()) < 0) {
    return last_error("pressure trigger");
  }
  const auto trigger = std::make_shared<Trigger>(std::move(pressure_file));
  TRY(Watch::instance().add(trigger));
  triggers_.emplace(handle, trigger);
  return {};
}

void PressureTriggers::release(std::uint64_t handle) {
  const std::lock_guard lock(mutex_);
  const auto found = triggers_.find(handle);
  if (found == triggers_.end()) return;
  found->second->close();
  triggers_.erase(found);
}

void PressureTriggers::release_all() {
  const std::lock_guard lock(mutex_);
  for (const auto& [handle, trigger] : triggers_) trigger->close();
  triggers_.clear();
}

unsigned PressureTriggers::poll(std::uint64_t handle, struct fuse_pollhandle* raw_waiter) {
  Waiter waiter(raw_waiter);
  const std::lock_guard lock(mutex_);
  const auto found = triggers_.find(handle);
  if (found == triggers_.end()) return kAlways | kNoTrigger;
  return found->second->poll(std::move(waiter));
}

}  // namespace sysbox::fs

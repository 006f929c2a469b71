#include "fs-emulator/pressure_triggers.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <utility>

#include "fs-emulator/event_watch.h"

namespace sysbox::fs {
namespace {

// Each costs the kernel a look at the pressure several times in each of its windows.
constexpr std::size_t kMaxTriggers = 32;
constexpr unsigned kNoTrigger = POLLERR | POLLPRI;  // as the kernel says of a file without one

}  // namespace

class PressureTriggers::Trigger : public EventListener {
 public:
  explicit Trigger(UniqueFd file) : file_(std::move(file)) {}
  int fd() const { return file_.get(); }

  void happened(std::uint32_t events) override {
    const std::lock_guard lock(mutex_);
    pending_ |= POLLPRI;
    if ((events & EPOLLERR) != 0) lasting_ |= POLLERR | POLLPRI;  // the cgroup is gone
    if (waiter_) fuse_lowlevel_notify_poll(waiter_.get());
  }

  unsigned poll(PollWaiter waiter) {
    const std::lock_guard lock(mutex_);
    if (waiter) waiter_ = std::move(waiter);
    return kAlwaysReady | lasting_ | std::exchange(pending_, 0U);
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
  PollWaiter waiter_;
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
  TRY(EventWatch::instance().add(trigger->fd(), EPOLLPRI | EPOLLET, trigger));
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

unsigned PressureTriggers::poll(std::uint64_t handle, PollWaiter waiter) {
  const std::lock_guard lock(mutex_);
  const auto found = triggers_.find(handle);
  if (found == triggers_.end()) return kAlwaysReady | kNoTrigger;
  return found->second->poll(std::move(waiter));
}

}  // namespace sysbox::fs

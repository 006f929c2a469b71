#include "seccomp-notify/notify_loop.h"

#include <pthread.h>
#include <sys/epoll.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <list>
#include <map>
#include <mutex>
#include <semaphore>
#include <tuple>
#include <vector>

#include "common/log.h"
#include "common/syscalls.h"
#include "seccomp-notify/dispatch.h"
#include "seccomp-notify/notify_events.h"

namespace sysbox::seccomp {
namespace {

// Threads kept although nothing is trapped: one to take a call, one to wait for the next, one that
// has just answered a call whose caller makes the next one before the thread is back.
constexpr int kKeptThreads = 3;
constexpr std::size_t kStackBytes = 512U << 10U;

// For a thread that cannot enter namespaces: nobody hangs, and the kernel refuses what it would
// refuse without us.
class KernelRunsAll : public CallHandler {
 public:
  Verdict handle(int /*listener*/, const Notification& /*call*/,
                 ContainerActions& /*actions*/) override {
    return LetKernelRunIt{};
  }
};

}  // namespace

// Workers wait together in one epoll set. A listener is armed for one event at a time; the
// worker that gets it receives the call, arms the listener again and carries the call out, so a
// call costs one wake-up. There is always one more worker to wait.
class NotifyLoop::Loop : public std::enable_shared_from_this<NotifyLoop::Loop> {
 public:
  Loop(NotifyLimits limits, std::shared_ptr<NotifyKernel> kernel, MakeHandler make_handler,
       std::shared_ptr<CallJournal> journal)
      : limits_(limits),
        kernel_(std::move(kernel)),
        make_handler_(std::move(make_handler)),
        journal_(journal ? std::move(journal) : std::make_shared<CallJournal>()) {}

  Result<void> add(UniqueFd fd, std::shared_ptr<ContainerActions> actions, std::uint64_t number);
  std::vector<std::pair<std::uint64_t, UniqueFd>> listeners_of(const std::string& id);
  std::vector<CountedCall> count_calls();
  void set_audit(AuditLevel level) { audit_.set_level(level); }
  void remove_container(const std::string& id);
  void stop();

 private:
  struct Listener;
  // What all listeners of one container share.
  struct Tenant {
    std::string id;
    CallCounters counters;
    int calls_in_work = 0;
    std::vector<std::shared_ptr<Listener>> parked;  // not armed: the tenant is at its limit
  };
  struct Listener {
    UniqueFd fd;
    std::uint64_t key = 0;
    std::uint64_t number = 0;
    std::shared_ptr<Tenant> tenant;
    std::shared_ptr<ContainerActions> actions;
    bool removed = false;
  };
  struct CallInWork {
    std::shared_ptr<Listener> listener;
    Notification call;
    Deadline deadline;
    std::atomic<bool> answered{false};
  };

  struct WorkerStart {
    std::shared_ptr<Loop> loop;
    std::binary_semaphore is_ready;
  };

  Result<void> start_locked();
  Result<void> start_worker_locked();
  static void* run_worker(void* argument);
  std::unique_ptr<CallHandler> make_handler();
  void work(CallHandler& handler);
  bool wait_for_event(std::uint64_t& key, std::uint32_t& events);
  void serve(std::uint64_t key, std::uint32_t events, CallHandler& handler);
  std::shared_ptr<Listener> reserve(std::uint64_t key, std::uint32_t events);
  void carry_out(const std::shared_ptr<Listener>& listener, JournaledCall& journaled,
                 CallHandler& handler);
  void inherit_locked(const std::shared_ptr<Listener>& listener);
  void serve_inherited(CallHandler& handler);
  void answer(CallInWork& work, const Verdict& verdict, bool is_expired = false);
  void expire_calls();
  void release_locked(const std::shared_ptr<Tenant>& tenant);
  void arm_locked(const std::shared_ptr<Listener>& listener);
  void arm_timer_locked(Deadline deadline);
  void drop_locked(const std::shared_ptr<Listener>& listener);

  const NotifyLimits limits_;
  std::shared_ptr<NotifyKernel> kernel_;
  MakeHandler make_handler_;
  const std::shared_ptr<CallJournal> journal_;
  NotifyEvents events_;
  CallAudit audit_;

  std::mutex mutex_;  // never held while a handler runs or a call is received or answered
  std::condition_variable worker_gone_;
  std::map<std::uint64_t, std::shared_ptr<Listener>> listeners_;
  std::map<std::string, std::weak_ptr<Tenant>> tenants_;
  std::list<std::shared_ptr<CallInWork>> calls_;
  // Received by an earlier process; each counts as its container's call in work.
  std::vector<std::pair<std::shared_ptr<Listener>, JournaledCall*>> inherited_;
  std::uint64_t next_key_ = NotifyEvents::kFirstListener;
  int workers_ = 0;
  int idle_workers_ = 0;
  bool timer_armed_ = false;
  bool stopping_ = false;
};

Result<void> NotifyLoop::Loop::start_locked() {
  if (events_.is_open()) return {};
  if (!kernel_) kernel_ = TRY(open_notify_kernel());
  if (!make_handler_) {
    make_handler_ = make_call_handlers(std::make_shared<const HostView>(TRY(HostView::open())));
  }
  return events_.open();
}

Result<void> NotifyLoop::Loop::start_worker_locked() {
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  ::pthread_attr_setstacksize(&attributes, kStackBytes);
  WorkerStart start{shared_from_this(), std::binary_semaphore(0)};
  pthread_t thread{};
  const int code = ::pthread_create(&thread, &attributes, &Loop::run_worker, &start);
  ::pthread_attr_destroy(&attributes);
  if (code != 0) return errno_error(code, "notify loop: start a thread");
  // Until the new thread has left them, it shares the file system attributes of this one, which
  // may be a worker that could not enter a mount namespace meanwhile.
  start.is_ready.acquire();
  ++workers_;
  ++idle_workers_;
  return {};
}

void* NotifyLoop::Loop::run_worker(void* argument) {
  auto* start = static_cast<WorkerStart*>(argument);
  const std::shared_ptr<Loop> loop = start->loop;
  const std::unique_ptr<CallHandler> handler = loop->make_handler();
  start->is_ready.release();  // and is gone with that
  loop->work(*handler);
  return nullptr;
}

std::unique_ptr<CallHandler> NotifyLoop::Loop::make_handler() {
  Result<std::unique_ptr<CallHandler>> handler = make_handler_(*kernel_);
  if (handler.ok()) return std::move(handler).value();
  log::error("trapped calls are left to the kernel: ", handler.error().message());
  return std::make_unique<KernelRunsAll>();
}

// Runs in a new thread, which counts as idle already.
void NotifyLoop::Loop::work(CallHandler& handler) {
  std::uint64_t key = 0;
  std::uint32_t events = 0;
  while (handler.is_fit() && wait_for_event(key, events)) {
    if (key == NotifyEvents::kDeadline) {
      expire_calls();
    } else if (key == NotifyEvents::kInherited) {
      serve_inherited(handler);
    } else {
      serve(key, events, handler);
    }
    const std::lock_guard lock(mutex_);
    ++idle_workers_;
  }
  const std::lock_guard lock(mutex_);
  --idle_workers_;
  --workers_;
  // The last one that can wait must not go unless all shall.
  if (!stopping_ && idle_workers_ == 0) {
    const Result<void> started = start_worker_locked();
    if (!started.ok()) log::error(started.error().message());
  }
  worker_gone_.notify_all();
}

// False: the thread shall end. True: it is no longer idle, and another one waits in its place.
bool NotifyLoop::Loop::wait_for_event(std::uint64_t& key, std::uint32_t& events) {
  for (;;) {
    bool is_surplus = false;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return false;
      is_surplus = idle_workers_ > kKeptThreads;
    }
    NotifyEvents::Event event;
    const int timeout = is_surplus ? static_cast<int>(limits_.idle_thread_timeout.count()) : -1;
    const bool is_ready = events_.wait(timeout, event);
    const std::lock_guard lock(mutex_);
    if (stopping_ || (is_ready && event.key == NotifyEvents::kStop)) return false;
    if (!is_ready && is_surplus && idle_workers_ > kKeptThreads) return false;
    if (!is_ready) continue;
    key = event.key;
    events = event.events;
    --idle_workers_;
    if (idle_workers_ == 0) {
      const Result<void> started = start_worker_locked();
      if (!started.ok()) log::error(started.error().message());
    }
    return true;
  }
}

// Takes the listener's event, if its tenant may have one more call in work.
std::shared_ptr<NotifyLoop::Loop::Listener> NotifyLoop::Loop::reserve(std::uint64_t key,
                                                                      std::uint32_t events) {
  const std::lock_guard lock(mutex_);
  const auto found = listeners_.find(key);
  if (found == listeners_.end()) return nullptr;
  std::shared_ptr<Listener> listener = found->second;
  if ((events & EPOLLIN) == 0) {  // EPOLLHUP: the last task with this filter is gone
    drop_locked(listener);
    return nullptr;
  }
  if (listener->tenant->calls_in_work >= limits_.calls_in_work) {
    listener->tenant->parked.push_back(std::move(listener));
    return nullptr;
  }
  ++listener->tenant->calls_in_work;
  return listener;
}

void NotifyLoop::Loop::serve(std::uint64_t key, std::uint32_t events, CallHandler& handler) {
  const std::shared_ptr<Listener> listener = reserve(key, events);
  if (!listener) return;
  const log::ContainerScope scope(listener->tenant->id);
  // Does not block: one worker at a time receives, and only what was announced.
  JournaledCall& journaled = journal_->claim(listener->tenant->id, listener->number);
  const Result<Notification> call = kernel_->receive(listener->fd.get(), journaled.raw);
  {
    const std::lock_guard lock(mutex_);
    if (!call.ok()) release_locked(listener->tenant);
    const int code = call.ok() ? 0 : call.error().code();
    if (code == 0 || code == ENOENT || code == EINTR) {
      arm_locked(listener);
    } else {
      log::error(call.error().message());
      drop_locked(listener);
    }
  }
  if (call.ok()) {
    carry_out(listener, journaled, handler);
  } else {
    journal_->release(journaled);
  }
}

void NotifyLoop::Loop::inherit_locked(const std::shared_ptr<Listener>& listener) {
  for (JournaledCall* const call :
       journal_->take_unanswered(listener->tenant->id, listener->number)) {
    ++listener->tenant->calls_in_work;
    inherited_.emplace_back(listener, call);
    events_.announce_inherited();
  }
}

// Of a call whose caller was killed meanwhile the handler finds out by itself.
void NotifyLoop::Loop::serve_inherited(CallHandler& handler) {
  std::shared_ptr<Listener> listener;
  JournaledCall* call = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (!events_.take_inherited() || inherited_.empty()) return;
    std::tie(listener, call) = inherited_.back();
    inherited_.pop_back();
  }
  const log::ContainerScope scope(listener->tenant->id);
  carry_out(listener, *call, handler);
}

void NotifyLoop::Loop::carry_out(const std::shared_ptr<Listener>& listener,
                                 JournaledCall& journaled, CallHandler& handler) {
  const auto work = std::make_shared<CallInWork>();
  work->listener = listener;
  work->call = parse_notification(journaled.raw);
  work->call.evidence = &journaled.evidence;
  work->deadline = after(limits_.call_timeout);
  std::list<std::shared_ptr<CallInWork>>::iterator place;
  {
    const std::lock_guard lock(mutex_);
    place = calls_.insert(calls_.end(), work);
    if (!timer_armed_) arm_timer_locked(work->deadline);
  }
  const Verdict verdict = handler.handle(listener->fd.get(), work->call, *listener->actions);
  answer(*work, verdict);
  journal_->release(journaled);
  const std::lock_guard lock(mutex_);
  calls_.erase(place);
  release_locked(listener->tenant);
}

void NotifyLoop::Loop::answer(CallInWork& work, const Verdict& verdict, bool is_expired) {
  if (work.answered.exchange(true)) return;
  audit_.record(work.listener->tenant->counters, work.call, verdict, is_expired);
  const Result<void> answered = kernel_->answer(work.listener->fd.get(), work.call.id, verdict);
  // ENOENT: the caller was killed meanwhile.
  if (!answered.ok() && answered.error().code() != ENOENT) {
    log::error(answered.error().message());
  }
}

// The worker of an expired call stays where it hangs and keeps its place in its container's
// share until it comes back; its caller does not have to wait for that.
void NotifyLoop::Loop::expire_calls() {
  std::vector<std::shared_ptr<CallInWork>> expired;
  {
    const std::lock_guard lock(mutex_);
    // Another worker may have come first.
    if (!events_.take_deadline()) return;
    timer_armed_ = false;
    const Deadline now = std::chrono::steady_clock::now();
    std::optional<Deadline> next;
    for (const std::shared_ptr<CallInWork>& work : calls_) {
      if (work->answered) continue;
      if (work->deadline <= now) {
        expired.push_back(work);
      } else if (!next || work->deadline < *next) {
        next = work->deadline;
      }
    }
    if (next) arm_timer_locked(*next);
  }
  for (const std::shared_ptr<CallInWork>& work : expired) {
    const log::ContainerScope scope(work->listener->tenant->id);
    log::warning("trapped system call ", work->call.number, " of thread ", work->call.tid_on_host,
                 " is not done after ", limits_.call_timeout.count(), " ms, failing it with EIO");
    answer(*work, FailWith{EIO}, true);
  }
}

// Armed at most once per timeout: calls that end in time leave it be.
void NotifyLoop::Loop::arm_timer_locked(Deadline deadline) {
  const Result<void> set = events_.set_deadline(deadline);
  if (!set.ok()) {
    log::error(set.error().message());
    return;
  }
  timer_armed_ = true;
}

void NotifyLoop::Loop::release_locked(const std::shared_ptr<Tenant>& tenant) {
  --tenant->calls_in_work;
  const std::vector<std::shared_ptr<Listener>> parked = std::exchange(tenant->parked, {});
  for (const std::shared_ptr<Listener>& listener : parked) arm_locked(listener);
}

void NotifyLoop::Loop::arm_locked(const std::shared_ptr<Listener>& listener) {
  if (listener->removed) return;
  const Result<void> armed = events_.arm(listener->fd.get(), listener->key);
  if (!armed.ok()) log::error(armed.error().message());
}

void NotifyLoop::Loop::drop_locked(const std::shared_ptr<Listener>& listener) {
  listener->removed = true;
  events_.remove(listener->fd.get());
  listeners_.erase(listener->key);
  std::erase(listener->tenant->parked, listener);
  std::erase_if(tenants_, [](const auto& entry) { return entry.second.expired(); });
}

Result<void> NotifyLoop::Loop::add(UniqueFd fd, std::shared_ptr<ContainerActions> actions,
                                   std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return errno_error(ESHUTDOWN, "notify loop");
  TRY(start_locked());
  const auto listener = std::make_shared<Listener>();
  listener->fd = std::move(fd);
  kernel_->prepare(listener->fd.get());
  listener->key = next_key_++;
  listener->number = number;
  listener->actions = std::move(actions);
  const std::string& id = listener->actions->container_id();
  listener->tenant = tenants_[id].lock();
  if (!listener->tenant) {
    listener->tenant = std::make_shared<Tenant>();
    listener->tenant->id = id;
    tenants_[id] = listener->tenant;
  }
  TRY(events_.add(listener->fd.get(), listener->key));
  listeners_.emplace(listener->key, listener);
  inherit_locked(listener);
  while (idle_workers_ < 1) TRY(start_worker_locked());
  return {};
}

std::vector<std::pair<std::uint64_t, UniqueFd>> NotifyLoop::Loop::listeners_of(
    const std::string& id) {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<std::uint64_t, UniqueFd>> found;
  for (const auto& [key, listener] : listeners_) {
    if (listener->tenant->id != id) continue;
    Result<UniqueFd> copy = sys::duplicate(listener->fd.get());
    if (copy.ok()) found.emplace_back(listener->number, std::move(copy).value());
  }
  return found;
}

std::vector<CountedCall> NotifyLoop::Loop::count_calls() {
  const std::lock_guard lock(mutex_);
  std::vector<CountedCall> counted;
  for (const auto& [id, weak] : tenants_) {
    const std::shared_ptr<Tenant> tenant = weak.lock();
    if (!tenant) continue;
    const std::vector<CountedCall> calls = tenant->counters.read(id);
    counted.insert(counted.end(), calls.begin(), calls.end());
  }
  return counted;
}

void NotifyLoop::Loop::remove_container(const std::string& id) {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Listener>> leaving;
  for (const auto& [key, listener] : listeners_) {
    if (listener->tenant->id == id) leaving.push_back(listener);
  }
  for (const std::shared_ptr<Listener>& listener : leaving) drop_locked(listener);
}

// Workers that hang in a call are left behind; they keep the loop's memory until they return.
void NotifyLoop::Loop::stop() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  if (!events_.is_open()) return;
  events_.announce_stop();
  std::map<std::uint64_t, std::shared_ptr<Listener>> listeners = std::move(listeners_);
  listeners_.clear();
  for (const auto& [key, listener] : listeners) listener->removed = true;
  worker_gone_.wait_for(lock, limits_.call_timeout,
                        [this] { return workers_ <= static_cast<int>(calls_.size()); });
}

NotifyLoop::NotifyLoop(std::shared_ptr<CallJournal> journal)
    : NotifyLoop(NotifyLimits{}, nullptr, nullptr, std::move(journal)) {}

NotifyLoop::NotifyLoop(NotifyLimits limits, std::shared_ptr<NotifyKernel> kernel,
                       MakeHandler make_handler, std::shared_ptr<CallJournal> journal)
    : loop_(std::make_shared<Loop>(limits, std::move(kernel), std::move(make_handler),
                                   std::move(journal))) {}

NotifyLoop::~NotifyLoop() { loop_->stop(); }

Result<void> NotifyLoop::add(UniqueFd listener, std::shared_ptr<ContainerActions> actions,
                             std::uint64_t number) {
  return loop_->add(std::move(listener), std::move(actions), number);
}

std::vector<std::pair<std::uint64_t, UniqueFd>> NotifyLoop::listeners_of(
    const std::string& id) const {
  return loop_->listeners_of(id);
}

std::vector<CountedCall> NotifyLoop::count_calls() const { return loop_->count_calls(); }

void NotifyLoop::set_audit(AuditLevel level) { loop_->set_audit(level); }

void NotifyLoop::remove_container(const std::string& id) { loop_->remove_container(id); }

}  // namespace sysbox::seccomp

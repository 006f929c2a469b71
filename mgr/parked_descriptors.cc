#include "mgr/parked_descriptors.h"

#include <linux/fuse.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/timerfd.h>

#include "common/log.h"
#include "common/syscalls.h"

#ifndef FUSE_NOTIFY_RESEND
#define FUSE_NOTIFY_RESEND 7  // Linux 6.9
#endif

namespace sysbox::mgr {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kStopKey = 0;
constexpr std::uint64_t kTimerKey = 1;
constexpr std::uint64_t kAttendantKey = 2;
constexpr std::uint64_t kFirstListenerKey = 3;
constexpr std::size_t kMaxOwners = 16384;
constexpr std::size_t kOwnDescriptors = 256;  // for all else that this daemon does
// A process that was killed may need a moment to be gone; its successor need not wait for it.
constexpr auto kDyingTime = 2s;

Result<void> watch_fd(int epoll_fd, int fd, std::uint32_t events, std::uint64_t key) {
  struct epoll_event event {};
  event.events = events;
  event.data.u64 = key;
  if (::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) return last_error("epoll_ctl");
  return {};
}

std::size_t descriptor_limit() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= 2 * kOwnDescriptors) {
    return kOwnDescriptors;
  }
  return static_cast<std::size_t>(limit.rlim_cur) - kOwnDescriptors;
}

bool has_ended(int pidfd, std::chrono::milliseconds timeout) {
  return sys::wait_for(pidfd, POLLIN, after(timeout)).ok();
}

std::string pid_of(int pidfd) {
  const Result<std::string> text = sys::read_file(join("/proc/self/fdinfo/", pidfd));
  if (!text.ok()) return "";
  const std::size_t line = text.value().find("\nPid:");
  if (line == std::string::npos) return "";
  return text.value().substr(line + 1, text.value().find('\n', line + 1) - line - 1);
}

// While both processes live the pid tells; of one that has ended it is -1.
bool are_of_one_process(int pidfd, int other) { return pid_of(pidfd) == pid_of(other); }

// Requests that the dead daemon had read are asked again. Until then their callers could not
// even be killed: the kernel takes them for being served. Before Linux 6.9 it does not know this.
void have_requests_asked_again(int fuse_fd) {
  struct fuse_out_header notification {};
  notification.len = sizeof notification;
  notification.error = FUSE_NOTIFY_RESEND;
  if (::write(fuse_fd, &notification, sizeof notification) < 0) {
    log::debug(last_error("have requests of a FUSE connection asked again").message());
  }
}

}  // namespace

Result<std::unique_ptr<ParkedDescriptors>> ParkedDescriptors::start(
    std::chrono::milliseconds patience) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!epoll || !stop || !timer) return last_error("parked descriptors");
  TRY(watch_fd(epoll.get(), stop.get(), EPOLLIN, kStopKey));
  TRY(watch_fd(epoll.get(), timer.get(), EPOLLIN, kTimerKey));
  std::unique_ptr<ParkedDescriptors> parked(
      new ParkedDescriptors(patience, std::move(epoll), std::move(stop), std::move(timer)));
  parked->watcher_ = std::thread([raw = parked.get()] { raw->watch(); });
  return parked;
}

ParkedDescriptors::ParkedDescriptors(std::chrono::milliseconds patience, UniqueFd epoll,
                                     UniqueFd stop, UniqueFd timer)
    : patience_(patience),
      max_descriptors_(descriptor_limit()),
      epoll_(std::move(epoll)),
      stop_(std::move(stop)),
      timer_(std::move(timer)),
      next_key_(kFirstListenerKey) {}

ParkedDescriptors::~ParkedDescriptors() {
  ::eventfd_write(stop_.get(), 1);
  watcher_.join();
}

Result<std::vector<std::string>> ParkedDescriptors::attend(UniqueFd pidfd) {
  const Result<void> exists = sys::pidfd_send_signal(pidfd.get(), 0);
  if (!exists.ok()) return Error(exists.error()).in("the descriptor that came along");
  UniqueFd predecessor;
  {
    const std::lock_guard lock(mutex_);
    const bool is_another = attendant_ && !are_of_one_process(attendant_.get(), pidfd.get());
    if (is_another) predecessor = TRY(sys::duplicate(attendant_.get()));
  }
  if (predecessor && !has_ended(predecessor.get(), kDyingTime)) {
    return Error(EBUSY, "another sysbox-fs is alive, which these descriptors are kept for");
  }
  const std::lock_guard lock(mutex_);
  if (attendant_ && predecessor) attendant_died();
  if (attendant_) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, attendant_.get(), nullptr);
  TRY(watch_fd(epoll_.get(), pidfd.get(), EPOLLIN, kAttendantKey));
  attendant_ = std::move(pidfd);
  arm_timer(0ms);
  std::vector<std::string> owners;
  for (const auto& [owner, group] : groups_) owners.push_back(owner);
  return owners;
}

Result<void> ParkedDescriptors::park(const std::string& owner,
                                     std::vector<NamedDescriptor> descriptors) {
  const std::lock_guard lock(mutex_);
  if (!groups_.contains(owner) && groups_.size() >= kMaxOwners) {
    return errno_error(E2BIG, "park descriptors: too many containers");
  }
  Group& group = groups_[owner];
  for (NamedDescriptor& descriptor : descriptors) {
    if (!group.contains(descriptor.name)) {
      if (group.size() >= kMaxParkedOfOne) {
        return errno_error(E2BIG, "park '", descriptor.name, "': too many of one container");
      }
      if (count() >= max_descriptors_) {
        return errno_error(EMFILE, "park '", descriptor.name, "': raise LimitNOFILE");
      }
    }
    Parked& parked = group[descriptor.name];
    forget(parked);
    parked.fd = std::move(descriptor.fd);
    if (!descriptor.name.starts_with(kListenerPrefix)) continue;
    TRY(watch_for_end(parked));
    watched_[parked.watch_key] = {owner, descriptor.name};
  }
  return {};
}

// A listener outlives its last filter user here, unless somebody looks: each `exec` has one.
Result<void> ParkedDescriptors::watch_for_end(Parked& parked) {
  const std::uint64_t key = next_key_++;
  TRY(watch_fd(epoll_.get(), parked.fd.get(), 0, key));  // EPOLLHUP always comes
  parked.watch_key = key;
  return {};
}

Result<std::vector<NamedDescriptor>> ParkedDescriptors::copies_of(const std::string& owner) const {
  const std::lock_guard lock(mutex_);
  const auto found = groups_.find(owner);
  if (found == groups_.end()) return errno_error(ENOENT, "nothing is parked for '", owner, "'");
  std::vector<NamedDescriptor> copies;
  for (const auto& [name, parked] : found->second) {
    copies.push_back({name, TRY(sys::duplicate(parked.fd.get()))});
  }
  return copies;
}

void ParkedDescriptors::let_go(const std::string& owner) {
  const std::lock_guard lock(mutex_);
  const auto found = groups_.find(owner);
  if (found == groups_.end()) return;
  forget_all(found->second);
  groups_.erase(found);
}

std::size_t ParkedDescriptors::size() const {
  const std::lock_guard lock(mutex_);
  return count();
}

std::size_t ParkedDescriptors::count() const {
  std::size_t sum = 0;
  for (const auto& [owner, group] : groups_) sum += group.size();
  return sum;
}

// The epoll set knows open files, not descriptors: it would go on with those of sysbox-fs.
void ParkedDescriptors::forget(Parked& parked) {
  if (parked.watch_key != 0) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, parked.fd.get(), nullptr);
    watched_.erase(parked.watch_key);
  }
  parked = Parked{};
}

void ParkedDescriptors::forget_all(Group& group) {
  for (auto& [name, parked] : group) forget(parked);
}

void ParkedDescriptors::arm_timer(std::chrono::milliseconds timeout) const {
  struct itimerspec when {};
  when.it_value.tv_sec = timeout.count() / 1000;
  when.it_value.tv_nsec = (timeout.count() % 1000) * 1000000L;
  if (::timerfd_settime(timer_.get(), 0, &when, nullptr) != 0) {
    log::error(last_error("timerfd_settime").message());
  }
}

void ParkedDescriptors::watch() {
  for (;;) {
    struct epoll_event event {};
    const int ready = ::epoll_wait(epoll_.get(), &event, 1, -1);
    if (ready < 0 && errno != EINTR) {
      log::error("parked descriptors: epoll_wait: ", errno_text(errno), ", nobody watches them");
      return;
    }
    if (ready != 1) continue;
    if (event.data.u64 == kStopKey) return;
    const std::lock_guard lock(mutex_);
    handle_event(event.data.u64);
  }
}

void ParkedDescriptors::handle_event(std::uint64_t key) {
  if (key == kTimerKey) {
    std::uint64_t expirations = 0;
    // Disarmed meanwhile: there is nothing to read.
    if (::read(timer_.get(), &expirations, sizeof expirations) > 0 && !attendant_) give_up();
  } else if (key == kAttendantKey) {
    if (attendant_ && has_ended(attendant_.get(), 0ms)) attendant_died();
  } else {
    listener_ended(key);
  }
}

void ParkedDescriptors::attendant_died() {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, attendant_.get(), nullptr);
  attendant_.reset();
  std::size_t containers = 0;
  for (const auto& [owner, group] : groups_) {
    const auto fuse = group.find(kFuseName);
    if (fuse == group.end()) continue;
    ++containers;
    have_requests_asked_again(fuse->second.fd.get());
  }
  if (containers != 0) {
    log::warning("sysbox-fs has ended: the emulated files of ", containers,
                 " containers wait for it, at most ", patience_.count() / 1000, " s");
  }
  arm_timer(patience_);
}

void ParkedDescriptors::give_up() {
  std::size_t containers = 0;
  for (auto& [owner, group] : groups_) {
    if (group.contains(kFuseName)) ++containers;
    forget_all(group);
  }
  groups_.clear();
  if (containers == 0) return;
  log::error("sysbox-fs did not come back within ", patience_.count() / 1000, " s: ", containers,
             " containers have lost their emulated files and trapped system calls; start sysbox-fs "
             "and restart these containers");
}

void ParkedDescriptors::listener_ended(std::uint64_t key) {
  const auto watched = watched_.find(key);
  if (watched == watched_.end()) return;
  const auto [owner, name] = watched->second;
  Group& group = groups_[owner];
  forget(group[name]);
  group.erase(name);
}

}  // namespace sysbox::mgr

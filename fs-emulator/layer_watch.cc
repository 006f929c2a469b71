#include "fs-emulator/layer_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "common/log.h"
#include "common/root_dir.h"

namespace sysbox::fs {
namespace {

using namespace std::chrono_literals;

// After the last event, and after the look before. Files that are made tell of themselves when they
// are opened and closed; directories, links and attributes do not (on an overlay no kernel lets a
// whole file system be watched for these), hence the later looks, when whoever was at work has
// ended. That an engine begins to work is seen in the topmost directory: it enters a new root
// there, and makes a directory for the old one.
constexpr std::array kLooks = {20ms, 400ms, 3000ms};
constexpr auto kMaxLook = 10s;
constexpr auto kMaxWait = 2s;
constexpr std::uint64_t kEvents = FAN_OPEN | FAN_CLOSE_WRITE | FAN_ONDIR;
constexpr std::uint32_t kRootEvents = IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_ATTRIB | IN_ONLYDIR;

Result<void> change_mark(int group_fd, unsigned change, int mount_fd) {
  if (::fanotify_mark(group_fd, change | FAN_MARK_FILESYSTEM, kEvents, mount_fd, ".") != 0) {
    return last_error("fanotify_mark");
  }
  return {};
}

// Never lets a failure of one step keep the others from being done.
void look_again(const SharedLayer& shared, bool was_changed) {
  const auto report = [](const Result<void>& done) {
    if (!done.ok()) log::warning("files copied by the engine: ", done.error().message());
  };
  if (was_changed) {
    report(give_back(shared, SetAside::kKept));
    report(forget_names(shared.own.get()));
    const Result<unsigned> joined = join_directories(shared, after(kMaxLook));
    if (!joined.ok()) report(joined.error());
    if (joined.ok() && joined.value() != 0) {
      log::debug(joined.value(), " directories in use joined with what the engine copied");
      report(forget_names(shared.own.get()));
    }
  }
  report(forget_names(shared.engine.get()));
}

}  // namespace

LayerWatch::~LayerWatch() {
  {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    changed_.wait(lock, [this] { return in_work_ == 0; });
  }
  if (!thread_.joinable()) return;
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

// With the lock held.
Result<void> LayerWatch::start() {
  if (thread_.joinable()) return {};
  // By descriptor, not by file handle: that works for overlays on every kernel.
  UniqueFd events(::fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK,
                                  O_RDONLY | O_CLOEXEC | O_LARGEFILE | O_NONBLOCK));
  if (!events) return last_error("fanotify_init");
  UniqueFd root_events(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!root_events) return last_error("inotify_init1");
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return last_error("eventfd");
  events_ = std::move(events);
  root_events_ = std::move(root_events);
  wake_ = std::move(wake);
  thread_ = std::thread([this] { watch(); });
  return {};
}

Result<void> LayerWatch::add(const std::string& id, std::shared_ptr<const SharedLayer> shared,
                             Since since) {
  const dev_t device = TRY(sys::fstat(shared->engine.get())).st_dev;
  // One and the same overlay: that of an engine which shifts the owners on the disk.
  if (device == TRY(sys::fstat(shared->own.get())).st_dev) return {};
  TRY(give_back(*shared, SetAside::kRemoved));
  const std::lock_guard lock(mutex_);
  TRY(start());
  TRY(change_mark(events_.get(), FAN_MARK_ADD, shared->engine.get()));
  Entry& entry = entries_[id];
  entry.root_watch =
      ::inotify_add_watch(root_events_.get(), fd_path(shared->engine.get()).c_str(), kRootEvents);
  entry.shared = std::move(shared);
  entry.engine_device = device;
  if (since == Since::kEarlier) {
    note(entry, Activity::kWritten);
    ::eventfd_write(wake_.get(), 1);
  }
  return {};
}

void LayerWatch::remove(const std::string& id) {
  std::shared_ptr<const SharedLayer> shared;
  {
    std::unique_lock lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end()) return;
    const bool has_ended = changed_.wait_for(lock, kMaxWait, [&] {
      const auto now = entries_.find(id);
      return now == entries_.end() || !now->second.is_in_work;
    });
    const auto ended = entries_.find(id);
    if (ended == entries_.end()) return;
    if (has_ended) shared = std::move(ended->second.shared);
    if (ended->second.root_watch >= 0) {
      ::inotify_rm_watch(root_events_.get(), ended->second.root_watch);
    }
    entries_.erase(ended);
    if (!shared) return;
    static_cast<void>(change_mark(events_.get(), FAN_MARK_REMOVE, shared->engine.get()).ok());
  }
  const Result<void> given = give_back(*shared, SetAside::kRemoved);
  if (!given.ok()) log::warning("files copied by the engine: ", given.error().message());
}

void LayerWatch::watch() {
  std::array<struct pollfd, 3> sources{
      {{events_.get(), POLLIN, 0}, {root_events_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
  for (;;) {
    const int ready = ::poll(sources.data(), sources.size(), next_timeout());
    if (ready < 0 && errno != EINTR) {
      log::error("files copied by the engine: poll: ", errno_text(errno),
                 ", nobody looks any more");
      return;
    }
    eventfd_t value = 0;
    static_cast<void>(::eventfd_read(wake_.get(), &value));
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    read_events();
    read_root_events();
    start_due();
  }
}

int LayerWatch::next_timeout() {
  const std::lock_guard lock(mutex_);
  const TimePoint now = std::chrono::steady_clock::now();
  int timeout = -1;
  for (const auto& [id, entry] : entries_) {
    if (entry.seen == Activity::kNone || entry.is_in_work) continue;  // work wakes us at its end
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(entry.due - now).count();
    const int wait = static_cast<int>(std::max<std::int64_t>(left, 0));
    timeout = timeout < 0 ? wait : std::min(timeout, wait);
  }
  return timeout;
}

void LayerWatch::read_events() {
  alignas(struct fanotify_event_metadata) std::array<char, 8192> buffer{};
  for (;;) {
    const ssize_t size = ::read(events_.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0)
      return note_all_of(0, Activity::kWritten);  // of a file that cannot be opened any more
    const auto* event = reinterpret_cast<const struct fanotify_event_metadata*>(buffer.data());
    for (std::int64_t left = size; FAN_EVENT_OK(event, left); event = FAN_EVENT_NEXT(event, left)) {
      const UniqueFd file(event->fd);
      const Result<struct stat> info = file ? sys::fstat(file.get()) : errno_error(EBADF, "event");
      const bool is_read = info.ok() && S_ISREG(info.value().st_mode) && event->mask == FAN_OPEN;
      note_all_of(info.ok() ? info.value().st_dev : 0,
                  is_read ? Activity::kRead : Activity::kWritten);
    }
  }
}

void LayerWatch::read_root_events() {
  alignas(struct inotify_event) std::array<char, 8192> buffer{};
  for (;;) {
    const ssize_t size = ::read(root_events_.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;
    std::size_t at = 0;
    while (at < static_cast<std::size_t>(size)) {
      const auto* event = reinterpret_cast<const struct inotify_event*>(&buffer.at(at));
      at += sizeof *event + event->len;
      if ((event->mask & IN_IGNORED) != 0) continue;
      const std::lock_guard lock(mutex_);
      for (auto& [id, entry] : entries_) {
        if (entry.root_watch == event->wd) note(entry, Activity::kWritten);
      }
    }
  }
}

// With the lock held.
void LayerWatch::note(Entry& entry, Activity activity) {
  entry.seen = std::max(entry.seen, activity);
  entry.looks = 0;
  entry.due = std::chrono::steady_clock::now() + kLooks[0];
}

// Device 0, or one that files have whose layers are on several disks: whose it is is unknown.
void LayerWatch::note_all_of(dev_t device, Activity activity) {
  const std::lock_guard lock(mutex_);
  const bool is_known = std::any_of(entries_.begin(), entries_.end(), [device](const auto& entry) {
    return entry.second.engine_device == device;
  });
  for (auto& [id, entry] : entries_) {
    if (!is_known || entry.engine_device == device) note(entry, activity);
  }
}

void LayerWatch::start_due() {
  const std::lock_guard lock(mutex_);
  const TimePoint now = std::chrono::steady_clock::now();
  for (auto& [id, entry] : entries_) {
    if (entry.seen == Activity::kNone || entry.is_in_work || entry.due > now) continue;
    const Activity activity = entry.seen;
    if (++entry.looks < kLooks.size()) {
      entry.due = now + kLooks.at(entry.looks);
    } else {
      entry.seen = Activity::kNone;
    }
    entry.is_in_work = true;
    ++in_work_;
    // A thread of its own: a container can hold a directory's lock for as long as it likes, by
    // listing it into memory whose pages do not come.
    std::thread([this, name = id, shared = entry.shared, activity] {
      work(name, shared, activity);
    }).detach();
  }
}

void LayerWatch::work(const std::string& id, const std::shared_ptr<const SharedLayer>& shared,
                      Activity activity) {
  const log::ContainerScope scope(id);
  look_again(*shared, activity == Activity::kWritten);
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(id);
  if (found != entries_.end() && found->second.shared == shared) found->second.is_in_work = false;
  --in_work_;
  changed_.notify_all();
  ::eventfd_write(wake_.get(), 1);
}

}  // namespace sysbox::fs

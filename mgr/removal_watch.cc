#include "mgr/removal_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "common/log.h"
#include "mgr/lifeline.h"

namespace sysbox::mgr {
namespace {

// What can end a path, seen from its directory; the last two are of the directory itself.
constexpr std::uint32_t kEvents =
    IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

}  // namespace

Result<std::unique_ptr<RemovalWatch>> RemovalWatch::start(Callback maybe_gone) {
  UniqueFd events(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!events) return last_error("inotify_init (fs.inotify.max_user_instances)");
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return last_error("eventfd");
  std::unique_ptr<RemovalWatch> watch(
      new RemovalWatch(std::move(maybe_gone), std::move(events), std::move(stop)));
  watch->thread_ = std::thread([raw = watch.get()] { raw->run(); });
  return watch;
}

RemovalWatch::RemovalWatch(Callback maybe_gone, UniqueFd events, UniqueFd stop)
    : maybe_gone_(std::move(maybe_gone)), events_(std::move(events)), stop_(std::move(stop)) {}

RemovalWatch::~RemovalWatch() {
  ::eventfd_write(stop_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

Result<void> RemovalWatch::watch(const std::string& id, const std::string& path) {
  const std::string directory = parent_path(path);
  const std::string name = last_component(path);
  const std::lock_guard lock(mutex_);
  // One number per directory: adding it again gives the same, unless another directory has
  // taken its place.
  const int number = ::inotify_add_watch(events_.get(), directory.c_str(), kEvents);
  if (number < 0) {
    Error error = last_error("watch '", directory, "'");
    forget_locked(id, -1);
    return error;
  }
  forget_locked(id, number);
  places_[id] = {number, name};
  ids_[number][name].insert(id);
  return {};
}

void RemovalWatch::forget(const std::string& id) {
  const std::lock_guard lock(mutex_);
  forget_locked(id, -1);
}

void RemovalWatch::forget_locked(const std::string& id, int kept_directory) {
  const auto place = places_.find(id);
  if (place == places_.end()) return;
  const auto [directory, name] = place->second;
  places_.erase(place);
  const auto names = ids_.find(directory);
  if (names == ids_.end()) return;
  names->second[name].erase(id);
  if (names->second[name].empty()) names->second.erase(name);
  if (!names->second.empty()) return;
  ids_.erase(names);
  if (directory != kept_directory) ::inotify_rm_watch(events_.get(), directory);
}

// The ids whose path an event is about; all of the directory's if it has no name.
std::set<std::string> RemovalWatch::ids_at(int directory, std::string_view name) {
  const std::lock_guard lock(mutex_);
  std::set<std::string> ids;
  const auto names = ids_.find(directory);
  if (names == ids_.end()) return ids;
  for (const auto& [watched_name, watched_ids] : names->second) {
    if (name.empty() || name == watched_name) ids.insert(watched_ids.begin(), watched_ids.end());
  }
  return ids;
}

void RemovalWatch::handle_events(std::string_view events) {
  std::set<std::string> ids;
  while (events.size() >= sizeof(struct inotify_event)) {
    struct inotify_event event {};
    std::memcpy(&event, events.data(), sizeof event);
    // The name is padded with NUL bytes.
    const std::string_view padded = events.substr(sizeof event, event.len);
    const std::string_view name = padded.substr(0, padded.find('\0'));
    events.remove_prefix(sizeof event + event.len);
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      const std::lock_guard lock(mutex_);
      for (const auto& [id, place] : places_) ids.insert(id);
    } else {
      ids.merge(ids_at(event.wd, name));
    }
    if ((event.mask & IN_IGNORED) != 0) {
      // The kernel has dropped the watch: the directory is gone or its file system unmounted.
      const std::lock_guard lock(mutex_);
      if (const auto names = ids_.find(event.wd); names != ids_.end()) {
        for (const auto& [watched_name, watched_ids] : names->second) {
          for (const std::string& id : watched_ids) places_.erase(id);
        }
        ids_.erase(names);
      }
    }
  }
  for (const std::string& id : ids) maybe_gone_(id);
}

void RemovalWatch::run() {
  alignas(struct inotify_event) std::array<char, 16384> buffer;  // NOLINT: filled by read
  for (;;) {
    std::array<struct pollfd, 2> fds = {{{events_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) {
      log::error("removed containers are noticed at the next start only: ",
                 last_error("poll").message());
      return;
    }
    if (fds[1].revents != 0) return;
    const ssize_t n = ::read(events_.get(), buffer.data(), buffer.size());
    if (n > 0) handle_events(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
  }
}

}  // namespace sysbox::mgr

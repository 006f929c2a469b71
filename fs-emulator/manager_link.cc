#include "fs-emulator/manager_link.h"

#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include <algorithm>
#include <array>

#include "common/log.h"
#include "common/syscalls.h"

namespace sysbox::fs {
namespace {

using namespace std::chrono_literals;

// A socket appears in its directory a moment before it can be connected to.
constexpr auto kListenTimeout = 2s;
constexpr auto kRetryPause = 20ms;

bool is_absent(const Error& error) {
  return error.code() == ENOENT || error.code() == ECONNREFUSED || error.code() == ENOTDIR;
}

std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

// Whether it was the first one that has something to read.
bool wait_for_one(int first, int second) {
  std::array<struct pollfd, 2> events = {{{first, POLLIN, 0}, {second, POLLIN, 0}}};
  while (::poll(events.data(), events.size(), -1) < 0 && errno == EINTR) {
  }
  return events[0].revents != 0;
}

}  // namespace

ManagerLink::~ManagerLink() { stop(); }

void ManagerLink::stop() {
  if (!watcher_.joinable()) return;
  ::eventfd_write(stop_.get(), 1);
  watcher_.join();
}

Result<DescriptorsByName> ManagerLink::connect() {
  const Result<void> attended = attend();
  if (!attended.ok()) {
    if (attended.error().code() == EBUSY) return attended.error();
    log::warning("sysbox-mgr does not run (", attended.error().message(),
                 "): containers lose their emulated files if sysbox-fs ends before it does");
    return DescriptorsByName{};
  }
  if (owners_.empty() || owners_.front() != mgr::kDaemonItself) return DescriptorsByName{};
  return descriptors_of(mgr::kDaemonItself);
}

Result<void> ManagerLink::start(Tasks tasks) {
  tasks_ = std::move(tasks);
  stop_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_) return last_error("eventfd");
  if (manager_pidfd_) exchange();
  watcher_ = std::thread([this] { watch(); });
  return {};
}

Result<void> ManagerLink::attend() {
  mgr::Attended attended = TRY(client_.attend());
  owners_ = std::move(attended.owners);
  std::sort(owners_.begin(), owners_.end());  // kDaemonItself is the first
  manager_pidfd_ = std::move(attended.manager_pidfd);
  return {};
}

Result<DescriptorsByName> ManagerLink::descriptors_of(const std::string& owner) {
  std::vector<mgr::NamedDescriptor> copies = TRY(client_.copies_of(owner));
  DescriptorsByName descriptors;
  for (mgr::NamedDescriptor& copy : copies) {
    descriptors[std::move(copy.name)] = std::move(copy.fd);
  }
  return descriptors;
}

void ManagerLink::exchange() {
  for (const std::string& owner : owners_) {
    if (owner == mgr::kDaemonItself) continue;
    Result<DescriptorsByName> descriptors = descriptors_of(owner);
    if (descriptors.ok()) {
      tasks_.take_back(owner, std::move(descriptors).value());
    } else if (descriptors.error().code() != ENOENT) {
      log::error("container '", owner, "': ", descriptors.error().message());
    }
  }
  owners_.clear();
  connected_ = true;
  tasks_.park_all();
}

void ManagerLink::park(const std::string& owner, const std::vector<mgr::NamedFd>& descriptors) {
  if (!connected_) return;
  const Result<void> parked = client_.park(owner, descriptors);
  if (!parked.ok()) log::error("park descriptors: ", parked.error().message());
}

void ManagerLink::unpark(const std::string& owner) {
  if (!connected_) return;
  const Result<void> done = client_.unpark(owner);
  if (!done.ok()) log::debug("park descriptors: ", done.error().message());
}

void ManagerLink::watch() {
  // What is taken back is put together with a file system of one's own (MountLocksmith).
  const Result<void> separate = sys::unshare(CLONE_FS);
  if (!separate.ok()) log::error(separate.error().message());
  bool is_worth_trying = true;
  for (;;) {
    if (connected_) {
      if (!wait_for_end_of_manager()) return;
      connected_ = false;
      log::warning("sysbox-mgr has ended: it gets its descriptors again when it is back");
    }
    if (!wait_for_socket(is_worth_trying)) return;
    const Result<void> attended = attend();
    if (attended.ok()) {
      exchange();
      log::info("sysbox-mgr is there, and has the descriptors of all containers");
    } else if (!is_absent(attended.error())) {
      log::error(attended.error().message());
    }
    // One that listens and does not answer is left alone until something changes.
    is_worth_trying = attended.ok() || is_absent(attended.error());
  }
}

bool ManagerLink::wait_for_end_of_manager() const {
  return !wait_for_one(stop_.get(), manager_pidfd_.get());
}

// Sleeps until something is made in the socket's directory. The directory is this daemon's own
// as well, or somebody's who makes it before; without it there is nothing to wait for.
bool ManagerLink::wait_for_socket(bool is_worth_trying) const {
  const UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watch || ::inotify_add_watch(watch.get(), directory_of(client_.socket_path()).c_str(),
                                    IN_CREATE | IN_MOVED_TO | IN_ATTRIB) < 0) {
    log::error(
        last_error("wait for sysbox-mgr in '", directory_of(client_.socket_path()), "'").message(),
        ", doing without it");
    wait_for_one(stop_.get(), stop_.get());
    return false;
  }
  for (;;) {
    const Deadline deadline = after(kListenTimeout);
    while (std::exchange(is_worth_trying, true) && milliseconds_until(deadline) > 0) {
      const Result<MessageSocket> there =
          MessageSocket::connect(client_.socket_path(), after(kListenTimeout));
      if (there.ok()) return true;
      if (there.error().code() == ENOENT) break;
      if (sys::wait_for(stop_.get(), POLLIN, after(kRetryPause)).ok()) return false;
    }
    if (wait_for_one(stop_.get(), watch.get())) return false;
    std::array<char, 4096> ignored{};
    while (::read(watch.get(), ignored.data(), ignored.size()) > 0) {
    }
  }
}

}  // namespace sysbox::fs

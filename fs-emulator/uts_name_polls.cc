#include "fs-emulator/uts_name_polls.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <atomic>
#include <utility>
#include <vector>

#include "common/log.h"
#include "common/syscalls.h"
#include "fs-emulator/event_watch.h"

namespace sysbox::fs {
namespace {

constexpr unsigned kNewName = POLLIN | POLLRDNORM | POLLERR | POLLPRI;

}  // namespace

class UtsNamePolls::File {
 public:
  explicit File(std::uint64_t change) : seen_(change) {}

  void tell() {
    const std::lock_guard lock(mutex_);
    if (waiter_) fuse_lowlevel_notify_poll(waiter_.get());
  }

  // The waiter first: a change after `last` was asked for must find it.
  void wait(PollWaiter waiter) {
    const std::lock_guard lock(mutex_);
    if (waiter) waiter_ = std::move(waiter);
  }

  bool has_news(std::uint64_t last) {
    const std::lock_guard lock(mutex_);
    return std::exchange(seen_, last) != last;
  }

  // From here on nobody is told anything.
  void close() {
    const std::lock_guard lock(mutex_);
    waiter_.reset();
  }

 private:
  std::mutex mutex_;
  std::uint64_t seen_;
  PollWaiter waiter_;
};

// The changes of one of the names on this machine, counted from the first open file on.
class UtsNamePolls::Changes : public EventListener {
 public:
  static Changes& of(UtsName which) {
    static const std::shared_ptr<Changes> host = watched("/proc/sys/kernel/hostname");
    static const std::shared_ptr<Changes> domain = watched("/proc/sys/kernel/domainname");
    return which == UtsName::kHost ? *host : *domain;
  }

  std::uint64_t last() const { return last_.load(); }

  void add(const std::shared_ptr<File>& file) {
    const std::lock_guard lock(mutex_);
    std::erase_if(files_, [](const auto& known) { return known.expired(); });
    files_.push_back(file);
  }

  void happened(std::uint32_t) override {
    ++last_;
    std::vector<std::weak_ptr<File>> files;
    {
      const std::lock_guard lock(mutex_);
      files = files_;
    }
    for (const std::weak_ptr<File>& known : files) {
      const std::shared_ptr<File> file = known.lock();
      if (file) file->tell();
    }
  }

 private:
  static std::shared_ptr<Changes> watched(const char* path) {
    auto changes = std::make_shared<Changes>();
    const Result<void> watching = changes->watch(path, changes);
    if (!watching.ok()) log::warning("nobody is told of new names: ", watching.error().message());
    return changes;
  }

  Result<void> watch(const char* path, const std::shared_ptr<Changes>& self) {
    file_ = TRY(sys::open(path, O_RDONLY));
    return EventWatch::instance().add(file_.get(), EPOLLPRI, self);
  }

  UniqueFd file_;  // the host's
  std::atomic<std::uint64_t> last_{0};
  std::mutex mutex_;
  std::vector<std::weak_ptr<File>> files_;
};

UtsNamePolls::~UtsNamePolls() { release_all(); }

UtsNamePolls::File& UtsNamePolls::file_of(std::uint64_t handle, UtsName which) {
  std::shared_ptr<File>& file = files_[handle];
  if (!file) {
    Changes& changes = Changes::of(which);
    file = std::make_shared<File>(changes.last());
    changes.add(file);
  }
  return *file;
}

void UtsNamePolls::opened(std::uint64_t handle, UtsName which) {
  const std::lock_guard lock(mutex_);
  file_of(handle, which);
}

void UtsNamePolls::release(std::uint64_t handle) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(handle);
  if (found == files_.end()) return;
  found->second->close();
  files_.erase(found);
}

void UtsNamePolls::release_all() {
  const std::lock_guard lock(mutex_);
  for (const auto& [handle, file] : files_) file->close();
  files_.clear();
}

unsigned UtsNamePolls::poll(std::uint64_t handle, UtsName which, PollWaiter waiter) {
  const std::lock_guard lock(mutex_);
  File& file = file_of(handle, which);
  file.wait(std::move(waiter));
  return file.has_news(Changes::of(which).last()) ? kNewName : kAlwaysReady;
}

}  // namespace sysbox::fs

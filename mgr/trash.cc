#include "mgr/trash.h"

#include <linux/fs.h>
#include <stdio.h>  // NOLINT(modernize-deprecated-headers): renameat2

#include <cstdint>
#include <optional>

#include "common/directory_entries.h"
#include "common/log.h"
#include "common/syscalls.h"

namespace sysbox::mgr {
namespace {

// Each level of the walk keeps two descriptors open.
constexpr int kMaxDepth = 64;

// Under a name that nothing else has; names of an earlier run are passed over.
Result<void> move_to_unique_name(int from_fd, const std::string& name, int to_fd) {
  static std::atomic<std::uint64_t> next{0};
  for (;;) {
    const std::string unique = std::to_string(next++);
    if (::renameat2(from_fd, name.c_str(), to_fd, unique.c_str(), RENAME_NOREPLACE) == 0) return {};
    if (errno != EEXIST) return last_error("move '", name, "' to the trash");
  }
}

class Deletion {
 public:
  Deletion(int top_fd, const std::atomic<bool>& stopping) : top_fd_(top_fd), stopping_(stopping) {}

  Result<void> run() {
    do {
      moved_ = false;
      first_mistake_.reset();
      note(delete_entries(top_fd_, 0));
    } while (moved_ && !stopping_);
    if (first_mistake_) return *first_mistake_;
    return {};
  }

 private:
  Result<void> delete_entries(int directory_fd, int depth) {
    return for_each_entry(directory_fd, [&](const struct dirent& entry) -> Result<void> {
      if (stopping_) return errno_error(ECANCELED, "delete");
      note(delete_entry(directory_fd, entry, depth));
      return {};
    });
  }

  Result<void> delete_entry(int directory_fd, const struct dirent& entry, int depth) {
    const std::string name = entry.d_name;
    if (entry.d_type != DT_DIR) {
      Result<void> deleted = sys::unlinkat(directory_fd, name);
      if (deleted.ok() || deleted.error().code() != EISDIR) return deleted;
    }
    if (depth == kMaxDepth) {
      TRY(move_to_unique_name(directory_fd, name, top_fd_));
      moved_ = true;
      return {};
    }
    const UniqueFd inner =
        TRY(sys::openat2(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
                         RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV));
    TRY(delete_entries(inner.get(), depth + 1).in(name));
    return sys::unlinkat(directory_fd, name, AT_REMOVEDIR);
  }

  void note(Result<void> result) {
    if (!result.ok() && !first_mistake_) first_mistake_ = std::move(result).error();
  }

  int top_fd_;
  const std::atomic<bool>& stopping_;
  bool moved_ = false;
  std::optional<Error> first_mistake_;
};

}  // namespace

Result<void> delete_contents(int directory_fd, const std::atomic<bool>& stopping) {
  return Deletion(directory_fd, stopping).run();
}

Trash::Trash(UniqueFd directory) : directory_(std::move(directory)), thread_([this] { run(); }) {}

Trash::~Trash() {
  stopping_ = true;
  {
    const std::lock_guard lock(mutex_);
    has_work_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Result<void> Trash::put(int parent_fd, const std::string& name) {
  TRY(move_to_unique_name(parent_fd, name, directory_.get()));
  {
    const std::lock_guard lock(mutex_);
    has_work_ = true;
  }
  changed_.notify_all();
  return {};
}

void Trash::wait_until_idle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !has_work_ && !is_working_; });
}

void Trash::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    has_work_ = false;
    is_working_ = true;
    lock.unlock();
    const Result<void> deleted = delete_contents(directory_.get(), stopping_);
    if (!deleted.ok() && !stopping_) {
      log::warning(
          "not all of a removed container's volumes could be deleted, trying again later: ",
          deleted.error().message());
    }
    lock.lock();
    is_working_ = false;
    changed_.notify_all();
    changed_.wait(lock, [this] { return has_work_; });
  }
}

}  // namespace sysbox::mgr

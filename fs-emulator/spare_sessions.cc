#include "fs-emulator/spare_sessions.h"

#include <sys/syscall.h>

#include <array>

#include "common/log.h"
#include "common/syscalls.h"

namespace sysbox::fs {
namespace {

// One listing makes the kernel know all names, so that the container's start does not ask for
// each. The connection is a spare one, and the loop's workers answer.
Result<void> look_up_all(int mount_fd) {
  const UniqueFd root = TRY(sys::openat(mount_fd, ".", O_RDONLY | O_DIRECTORY));
  std::array<char, 8192> entries{};
  for (;;) {
    const long size = ::syscall(SYS_getdents64, root.get(), entries.data(), entries.size());
    if (size < 0) return last_error("list emulated files");
    if (size == 0) return {};
  }
}

}  // namespace

SpareSessions::SpareSessions(FuseLoop& loop, std::size_t count)
    : loop_(loop), count_(count), keeper_([this] { keep_count(); }) {}

SpareSessions::~SpareSessions() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  keeper_.join();
  for (const auto& session : spares_) loop_.remove(*session);
}

Result<std::shared_ptr<FuseSession>> SpareSessions::open() {
  std::shared_ptr<FuseSession> session = TRY(FuseSession::open());
  TRY(loop_.add(session));
  return session;
}

Result<std::shared_ptr<FuseSession>> SpareSessions::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!spares_.empty()) {
      std::shared_ptr<FuseSession> session = std::move(spares_.back());
      spares_.pop_back();
      changed_.notify_all();
      return session;
    }
  }
  return open();
}

void SpareSessions::keep_count() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || spares_.size() < count_; });
      if (stopping_) return;
    }
    Result<std::shared_ptr<FuseSession>> session = open();
    if (!session.ok()) {
      // Out of descriptors or memory. Register says so itself; look again when one was taken.
      log::warning("spare emulated files: ", session.error().message(), ", going on without");
      std::unique_lock lock(mutex_);
      changed_.wait(lock);
      if (stopping_) return;
      continue;
    }
    const Result<void> known = look_up_all(session.value()->mount_fd());
    if (!known.ok()) log::warning(known.error().message(), ", going on without");
    const std::lock_guard lock(mutex_);
    spares_.push_back(std::move(session).value());
  }
}

}  // namespace sysbox::fs

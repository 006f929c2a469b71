#include "fs-emulator/spare_sessions.h"

#include "common/log.h"
#include "fs-emulator/name_lister.h"

namespace sysbox::fs {

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
  // One listing makes the kernel know all names, so that the container's start does not ask for
  // each. The connection is a spare one, and the loop's workers answer.
  Result<NameLister> lister = NameLister::start();
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
    if (lister.ok()) {
      const Result<void> known = lister.value().list(session.value()->mount_fd());
      if (!known.ok()) lister = known.error();
    }
    if (!lister.ok()) log::warning(lister.error().message(), ", going on without");
    const std::lock_guard lock(mutex_);
    spares_.push_back(std::move(session).value());
  }
}

}  // namespace sysbox::fs

#pragma once

// FuseSession: the FUSE connection of one container, or of none yet, and the detached mount of its
// tree.

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"
#include "fs-emulator/container_record.h"
#include "fs-emulator/file_tree.h"
#include "fs-emulator/request_journal.h"

struct fuse_session;

namespace sysbox::fs {

class FuseSession {
 public:
  // Opens the device and mounts it on nothing: no path of the host leads to the files.
  static Result<std::shared_ptr<FuseSession>> open();
  // A connection that an earlier daemon has opened, and the mount that it kept. libfuse gets the
  // same greeting once more; nobody hears its answer.
  static Result<std::shared_ptr<FuseSession>> take_over(UniqueFd device,
                                                        const FuseGreeting& greeting);
  // Ends the connection, unless somebody has a copy of its descriptor: whoever waits for an answer
  // gets ECONNABORTED, later callers ENOTCONN.
  ~FuseSession();
  FuseSession(const FuseSession&) = delete;
  FuseSession& operator=(const FuseSession&) = delete;

  FileTree& tree() { return *tree_; }
  int device_fd() const { return device_fd_; }
  // The detached mount; the first call takes it.
  UniqueFd take_mount() { return std::move(mount_); }
  int mount_fd() const { return mount_.get(); }

  // Whose connection it is, for the journal of requests. Once.
  void belong_to(std::string_view container);
  // Has the kernel ask again what an earlier daemon was asked and did not answer. False: it does
  // not know how (before Linux 6.9), and answer() is to be called for each.
  bool ask_again() const;
  void answer(std::span<char> request);

  // No request: there was no greeting yet.
  FuseGreeting greeting() const;

  enum class Outcome { kServed, kNothingWaits, kEnded };
  // Answers one waiting request. One thread at a time.
  Outcome serve_one(RequestBuffer& buffer);

 private:
  static Result<std::shared_ptr<FuseSession>> serve_device(UniqueFd device, UniqueFd mount);
  void remember_greeting(std::string_view request);
  FuseSession(std::unique_ptr<FileTree> tree, struct fuse_session* session, int device_fd,
              UniqueFd mount);

  const std::unique_ptr<FileTree> tree_;
  struct fuse_session* const session_;  // owns the device's descriptor
  const int device_fd_;
  UniqueFd mount_;
  std::string container_;
  std::atomic<bool> has_container_{false};
  mutable std::mutex mutex_;
  std::string greeting_;
};

// Sends libfuse's own messages to our log.
void route_fuse_log();

}  // namespace sysbox::fs

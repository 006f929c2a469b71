#pragma once

// FuseSession: the FUSE connection of one container, or of none yet, and the detached mount of its
// tree.

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"
#include "fs-emulator/container_record.h"
#include "fs-emulator/file_tree.h"

struct fuse_session;

namespace sysbox::fs {

// Where a worker reads requests into; sessions have none of their own.
class RequestBuffer {
 public:
  RequestBuffer();
  char* data() { return bytes_.get(); }
  static std::size_t size();

 private:
  std::unique_ptr<char[]> bytes_;
};

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
  mutable std::mutex mutex_;
  std::string greeting_;
};

// Sends libfuse's own messages to our log.
void route_fuse_log();

}  // namespace sysbox::fs

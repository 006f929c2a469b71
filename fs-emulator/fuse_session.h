#pragma once

// FuseSession: the FUSE connection of one container, or of none yet, and the detached mount of its
// tree.

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
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
  // Ends the connection: whoever waits for an answer gets ECONNABORTED, later callers ENOTCONN.
  ~FuseSession();
  FuseSession(const FuseSession&) = delete;
  FuseSession& operator=(const FuseSession&) = delete;

  FileTree& tree() { return *tree_; }
  int device_fd() const { return device_fd_; }
  // The detached mount; the first call takes it.
  UniqueFd take_mount() { return std::move(mount_); }
  int mount_fd() const { return mount_.get(); }

  enum class Outcome { kServed, kNothingWaits, kEnded };
  // Answers one waiting request. One thread at a time.
  Outcome serve_one(RequestBuffer& buffer);

 private:
  FuseSession(std::unique_ptr<FileTree> tree, struct fuse_session* session, int device_fd,
              UniqueFd mount);

  const std::unique_ptr<FileTree> tree_;
  struct fuse_session* const session_;  // owns the device's descriptor
  const int device_fd_;
  UniqueFd mount_;
};

// Sends libfuse's own messages to our log.
void route_fuse_log();

}  // namespace sysbox::fs

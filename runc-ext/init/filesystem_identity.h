#pragma once

#include <sys/types.h>

#include "common/result.h"

namespace sysbox::runc {

// While it lives, the calling process makes and touches files as `uid` and `gid` of the host, with
// all its capabilities still effective: what it makes in a container's files belongs to the
// container's root.
class FilesystemIdentity {
 public:
  static Result<FilesystemIdentity> assume(uid_t uid, gid_t gid);
  ~FilesystemIdentity();
  FilesystemIdentity(FilesystemIdentity&& other) noexcept;
  FilesystemIdentity& operator=(FilesystemIdentity&&) = delete;

 private:
  FilesystemIdentity() = default;
  bool active_ = true;
};

// Makes every permitted capability effective (a change of fsuid away from 0 takes some).
Result<void> raise_effective_capabilities();

}  // namespace sysbox::runc

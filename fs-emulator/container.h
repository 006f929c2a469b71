#pragma once

// One registered container, as the parts of sysbox-fs see it.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "fs-emulator/api.h"

namespace sysbox::fs {

// What is fixed at registration. Shared by pointer among the daemon's threads; immutable.
struct ContainerIdentity {
  std::string id;
  IdMap uid_map;
  IdMap gid_map;
  CgroupDirectories cgroups;
  bool shows_hardware = false;
};

// The container's emulated files as a mount: what is bound over a procfs or sysfs of it.
// Immutable after registration.
struct EmulatedTree {
  std::vector<Piece> pieces;
  UniqueFd mount;  // detached, FUSE
};

// The container's first process. A copy of its pidfd; the pid is for /proc paths and is only
// to be trusted while the pidfd says that the process lives.
struct ContainerInit {
  int pid = 0;
  UniqueFd pidfd;
};

}  // namespace sysbox::fs

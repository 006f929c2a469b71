#pragma once

// Copies a directory with everything in it, as `cp -a --reflink=auto` would: owners, modes,
// times, extended attributes and ACLs, hard links, device nodes, holes. By descriptors only: a
// symbolic link in the source is copied, never followed, and mounts in it are not entered.

#include <atomic>

#include "common/result.h"

namespace sysbox {

// The contents and attributes of directory `source_fd` to the empty directory `target_fd`.
// ECANCELED as soon as `cancelled` is seen to be true.
Result<void> copy_tree(int source_fd, int target_fd, const std::atomic<bool>& cancelled);

}  // namespace sysbox

#pragma once

// Pieces: single nodes of one mounted tree bound over single files or directories of another,
// as the emulated files are bound over a real procfs and sysfs.

#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox {

struct MountPiece {
  std::string target;  // below the covered tree's root, without a leading slash: "sys/kernel/panic"
  int source_fd = -1;  // borrowed: a directory of the tree that the piece comes from
  std::string source;  // below it
};

// Binds each piece over its target below `tree_fd`, in order; both trees must be mounted in the
// caller's mount namespace, or be detached mounts (targets in a detached tree: Linux 6.15).
// A target that does not exist is left out: the kernel or its configuration has no such file.
Result<void> attach_pieces(int tree_fd, const std::vector<MountPiece>& pieces);

}  // namespace sysbox

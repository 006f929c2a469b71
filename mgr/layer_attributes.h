#pragma once

// What engines leave out when they make an image layer of a directory: extended attributes but
// file capabilities, ACLs, and whiteouts (they take one for their own). Layers of images kept
// inside need them: without an opaque marker or a whiteout, deleted files would come back. So they
// are written to a file that the layer does carry, and set again from it in the copy.
//
// The file comes back in an image from anywhere: it can say nothing but this, and of nothing
// outside the directory.

#include <atomic>

#include "common/result.h"
#include "common/syscalls.h"

namespace sysbox::mgr {

inline constexpr const char* kLayerAttributesName = ".sysbox-layer-attributes";

// Writes the file of the directory and all below it; none if there is nothing to say. An earlier
// one is replaced.
Result<void> write_layer_attributes(int directory_fd, Deadline deadline,
                                    const std::atomic<bool>& cancelled);

// Sets what the file says, and deletes it. No file: nothing to do. What it says of names that are
// not there is passed over: a later layer may have removed them.
Result<void> apply_layer_attributes(int directory_fd);

Result<void> remove_layer_attributes(int directory_fd);

}  // namespace sysbox::mgr

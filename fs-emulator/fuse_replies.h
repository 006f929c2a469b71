#pragma once

// libfuse's callbacks: a function of the connection's FileTree, then its errno or its value. The
// session's user data is the FileTree.

#include <fuse_lowlevel.h>

namespace sysbox::fs {

extern const struct fuse_lowlevel_ops kFuseOperations;

}  // namespace sysbox::fs

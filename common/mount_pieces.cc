#include "common/mount_pieces.h"

#include <sys/mount.h>

#include "common/syscalls.h"

namespace sysbox {

Result<void> attach_pieces(int tree_fd, const std::vector<MountPiece>& pieces) {
  for (const MountPiece& piece : pieces) {
    // A target may already be covered (a mask below a mask); none leads through a link.
    Result<UniqueFd> target =
        sys::openat2(tree_fd, piece.target, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (!target.ok() && (target.error().code() == ENOENT || target.error().code() == ENOTDIR)) {
      continue;
    }
    const UniqueFd target_fd = TRY(std::move(target).in("emulated piece"));
    const UniqueFd clone =
        TRY(sys::open_tree(piece.source_fd, piece.source, OPEN_TREE_CLONE | AT_SYMLINK_NOFOLLOW));
    TRY(sys::move_mount(clone.get(), "", target_fd.get(), "").in(piece.target));
  }
  return {};
}

}  // namespace sysbox

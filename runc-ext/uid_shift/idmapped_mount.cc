#include "runc-ext/uid_shift/idmapped_mount.h"

#include "common/syscalls.h"

namespace sysbox::runc {

Result<ShiftedMount> clone_shifted(const std::string& path_on_host, Recursion recursion,
                                   int userns_fd, const IdMap& uids) {
  const unsigned recursive = recursion == Recursion::kWhole ? AT_RECURSIVE : 0;
  ShiftedMount shifted;
  shifted.mount = TRY(sys::open_tree(AT_FDCWD, path_on_host, OPEN_TREE_CLONE | recursive));
  const struct stat source = TRY(sys::fstat(shifted.mount.get()).in(path_on_host));
  if (uids.to_container(source.st_uid)) return shifted;

  sys::MountAttributes attributes;
  attributes.set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = userns_fd;
  Result<void> mapped = sys::mount_setattr(shifted.mount.get(), "", recursive, attributes);
  if (!mapped.ok() && recursive != 0) {
    // One sub-mount that cannot be mapped refuses all; the top is what was asked for.
    mapped = sys::mount_setattr(shifted.mount.get(), "", 0, attributes);
  }
  if (!mapped.ok()) {
    shifted.unmapped_reason = join("the file system of '", path_on_host, "' cannot be id-mapped (",
                                   errno_text(mapped.error().code()), ")");
  }
  return shifted;
}

Result<UniqueFd> clone_id_mapped(const std::string& path_on_host, Recursion recursion,
                                 Recursion mapping, int userns_fd) {
  const unsigned recursive = recursion == Recursion::kWhole ? AT_RECURSIVE : 0;
  UniqueFd mount = TRY(sys::open_tree(AT_FDCWD, path_on_host, OPEN_TREE_CLONE | recursive));
  sys::MountAttributes attributes;
  attributes.set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = userns_fd;
  const unsigned all = mapping == Recursion::kWhole ? recursive : 0;
  TRY(sys::mount_setattr(mount.get(), "", all, attributes)
          .in(join("id-mapping of '", path_on_host,
                   "' (its file system may not be able to, or be id-mapped already)")));
  return mount;
}

}  // namespace sysbox::runc

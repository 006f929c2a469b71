#include "runc-ext/init/hidden_paths.h"

#include <sys/sysmacros.h>

#include <optional>

#include "common/syscalls.h"
#include "runc-ext/init/kernel_filesystems.h"

namespace sysbox::runc {
namespace {

// Nothing if there is no such path.
Result<std::optional<UniqueFd>> find_place(const RootDir& root, const std::string& path) {
  Result<UniqueFd> place = root.open_inside(path, O_PATH);
  if (place.ok()) return {std::move(place).value()};
  if (place.error().code() == ENOENT || place.error().code() == ENOTDIR) return {std::nullopt};
  return std::move(place).error();
}

Result<UniqueFd> empty_directory() {
  OciMount empty;
  empty.type = "tmpfs";
  empty.source = "tmpfs";
  empty.data = {"mode=555", "size=0"};
  empty.attributes_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  return new_filesystem(empty);
}

// The host's, by descriptor: what the image calls /dev/null has no say (CVE-2025-31133).
Result<UniqueFd> null_device() {
  UniqueFd clone = TRY(sys::open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE));
  const struct stat null = TRY(sys::fstat(clone.get()));
  if (!S_ISCHR(null.st_mode) || null.st_rdev != makedev(1, 3)) {
    return Error(EINVAL, "the host's /dev/null is not the null device");
  }
  return clone;
}

class Masks {
 public:
  explicit Masks(const RootDir& root) : root_(root) {}

  Result<void> cover(const std::string& path) {
    const std::optional<UniqueFd> place = TRY(find_place(root_, path));
    if (!place) return {};
    if (!S_ISDIR(TRY(sys::fstat(place->get())).st_mode)) {
      const UniqueFd null = TRY(null_device());
      return sys::move_mount(null.get(), "", place->get(), "");
    }
    // The first one is attached as it is: a mount that is attached can be cloned on every kernel.
    if (first_directory_.valid()) {
      const UniqueFd clone = TRY(sys::open_tree(first_directory_.get(), "", OPEN_TREE_CLONE));
      return sys::move_mount(clone.get(), "", place->get(), "");
    }
    first_directory_ = TRY(empty_directory());
    return sys::move_mount(first_directory_.get(), "", place->get(), "");
  }

 private:
  const RootDir& root_;
  UniqueFd first_directory_;
};

Result<void> cover_read_only(const RootDir& root, const std::string& path) {
  const std::optional<UniqueFd> place = TRY(find_place(root, path));
  if (!place) return {};
  const UniqueFd clone = TRY(sys::open_tree(place->get(), "", OPEN_TREE_CLONE | AT_RECURSIVE));
  sys::MountAttributes attributes;
  attributes.set = MOUNT_ATTR_RDONLY;
  TRY(sys::mount_setattr(clone.get(), "", AT_RECURSIVE, attributes));
  return sys::move_mount(clone.get(), "", place->get(), "");
}

}  // namespace

Result<void> mask_paths(const OciLinux& linux_part, const RootDir& root) {
  Masks masks(root);
  for (const std::string& path : linux_part.masked_paths) {
    TRY(masks.cover(path).in(join("masked path '", path, "'")));
  }
  return {};
}

Result<void> make_paths_read_only(const OciLinux& linux_part, const RootDir& root) {
  for (const std::string& path : linux_part.readonly_paths) {
    TRY(cover_read_only(root, path).in(join("read-only path '", path, "'")));
  }
  return {};
}

}  // namespace sysbox::runc

#include "mgr/volume_in_layer.h"

#include <linux/fs.h>
#include <stdio.h>  // NOLINT(modernize-deprecated-headers): renameat2
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <optional>

#include "common/directory_entries.h"
#include "common/volume_mark.h"
#include "mgr/layer_attributes.h"
#include "mgr/lifeline.h"
#include "mgr/trash.h"

namespace sysbox::mgr {
namespace {

// Like kVolumeMark, of the directory that has the place of a volume here while that is in the
// layer.
constexpr const char* kCoveredMark = "trusted.sysbox.mount-point";
constexpr const char* kOpaque = "trusted.overlay.opaque";

Result<void> set_mark(int fd, const char* name, const std::string& value) {
  if (::fsetxattr(fd, name, value.data(), value.size(), 0) == 0) return {};
  return last_error("set attribute ", name);
}

Result<std::optional<std::string>> find_mark(int fd, const char* name) {
  std::array<char, PATH_MAX> value{};
  const ssize_t size = ::fgetxattr(fd, name, value.data(), value.size());
  if (size >= 0) return {std::string(value.data(), static_cast<std::size_t>(size))};
  if (errno == ENODATA || errno == EOPNOTSUPP) return {std::nullopt};
  return last_error("read attribute ", name);
}

bool is_absent(int code) { return code == ENOENT || code == ENOTDIR || code == ELOOP; }

// The directory of the layer that holds the volume's place.
Result<UniqueFd> open_parent_in_layer(int upper_fd, const std::string& path_in_layer) {
  const std::string parent = parent_path("/" + path_in_layer);
  return sys::openat2(upper_fd, parent == "/" ? "." : parent.substr(1), O_RDONLY | O_DIRECTORY,
                      kInsideOnly);
}

Result<void> exchange(int place_fd, const std::string& name, int layer_fd,
                      const std::string& name_in_layer) {
  if (::renameat2(place_fd, name.c_str(), layer_fd, name_in_layer.c_str(), RENAME_EXCHANGE) == 0) {
    return {};
  }
  return last_error("exchange '", name, "' with the layer's '", name_in_layer, "'");
}

// A volume in the layer.
struct Published {
  UniqueFd parent;
  std::string name;
  UniqueFd volume;
};

// Nothing: what has its place here has no mark, or the volume was removed from the layer.
Result<std::optional<Published>> find_published(int covered_fd, int upper_fd) {
  const std::optional<std::string> path = TRY(find_mark(covered_fd, kCoveredMark));
  if (!path) return {std::nullopt};
  Published found;
  found.name = last_component("/" + *path);
  Result<UniqueFd> parent = open_parent_in_layer(upper_fd, *path);
  if (!parent.ok()) {
    if (is_absent(parent.error().code())) return {std::nullopt};
    return std::move(parent).error();
  }
  found.parent = std::move(parent).value();
  Result<UniqueFd> volume = open_directory(found.parent.get(), found.name);
  if (!volume.ok()) {
    if (is_absent(volume.error().code())) return {std::nullopt};
    return std::move(volume).error();
  }
  found.volume = std::move(volume).value();
  if (!TRY(find_mark(found.volume.get(), kVolumeMark))) return {std::nullopt};
  return {std::move(found)};
}

}  // namespace

Result<void> mark_volume(int place_fd, const std::string& name, const std::string& path_in_layer,
                         ImageContent content) {
  const UniqueFd volume = TRY(open_directory(place_fd, name));
  if (content == ImageContent::kSome) TRY(set_mark(volume.get(), kOpaque, "y"));
  if (TRY(find_mark(volume.get(), kVolumeMark)) == path_in_layer) return {};
  return set_mark(volume.get(), kVolumeMark, path_in_layer);
}

Result<std::string> find_path_in_layer(const RootDir& rootfs, const std::string& destination) {
  const Result<UniqueFd> found = rootfs.open_inside(destination, O_RDONLY | O_DIRECTORY);
  if (!found.ok()) {
    if (found.error().code() == ENOENT) return destination.substr(1);
    return is_absent(found.error().code()) ? Result<std::string>(std::string()) : found.error();
  }
  // Overlayfs copies a directory, and those above it, to the upper layer when it is changed.
  const struct stat info = TRY(sys::fstat(found.value().get()));
  const std::array<struct timespec, 2> times = {info.st_atim, info.st_mtim};
  if (::futimens(found.value().get(), times.data()) != 0) return last_error("set times");
  const std::string top = TRY(sys::readlinkat(AT_FDCWD, fd_path(rootfs.fd())));
  const std::string path = TRY(sys::readlinkat(AT_FDCWD, fd_path(found.value().get())));
  if (path == top || !is_same_or_below(path, top)) return std::string();
  return path.substr(top == "/" ? 1 : top.size() + 1);
}

Result<bool> publish_volume(int place_fd, const std::string& name, int upper_fd, Deadline deadline,
                            const std::atomic<bool>& cancelled) {
  const auto describe = [deadline, &cancelled](int volume_fd) {
    return write_layer_attributes(volume_fd, deadline, cancelled)
        .in("whiteouts and attributes of files will be missing in images made of it");
  };
  const Result<UniqueFd> volume = open_directory(place_fd, name);
  if (!volume.ok()) return is_absent(volume.error().code()) ? Result(false) : volume.error();
  const int volume_fd = volume.value().get();
  const std::optional<std::string> path = TRY(find_mark(volume_fd, kVolumeMark));
  if (!path) {
    // It may have been written to since.
    const std::optional<Published> published = TRY(find_published(volume_fd, upper_fd));
    if (published) TRY(describe(published->volume.get()));
    return false;
  }
  const std::optional<std::string> opaque = TRY(find_mark(volume_fd, kOpaque));
  if (!opaque && TRY(is_empty_directory(volume_fd))) return false;

  const UniqueFd parent = TRY(open_parent_in_layer(upper_fd, *path).in("the upper layer"));
  const std::string name_in_layer = last_component("/" + *path);
  const Result<void> made = sys::mkdirat(parent.get(), name_in_layer, 0755);
  if (!made.ok() && made.error().code() != EEXIST) return made.error();
  const UniqueFd covered = TRY(open_directory(parent.get(), name_in_layer).in("the upper layer"));
  if (TRY(find_mark(covered.get(), kVolumeMark))) {
    return Error(EEXIST, join("the upper layer has another volume at '", *path, "'"));
  }
  TRY(set_mark(covered.get(), kCoveredMark, *path));
  TRY(set_mark(volume_fd, kOpaque, "y"));
  TRY(exchange(place_fd, name, parent.get(), name_in_layer));
  TRY(describe(volume_fd));
  return true;
}

Result<bool> withdraw_volume(int place_fd, const std::string& name, int upper_fd) {
  const Result<UniqueFd> covered = open_directory(place_fd, name);
  if (!covered.ok()) return is_absent(covered.error().code()) ? Result(false) : covered.error();
  const int covered_fd = covered.value().get();
  if (!TRY(find_mark(covered_fd, kCoveredMark))) return false;
  if (TRY(find_mark(covered_fd, kVolumeMark))) return false;
  const std::optional<Published> published = TRY(find_published(covered_fd, upper_fd));
  if (!published) {
    TRY(remove_volume(place_fd, name));
    return false;
  }
  TRY(exchange(place_fd, name, published->parent.get(), published->name));
  ::fremovexattr(covered_fd, kCoveredMark);
  TRY(remove_layer_attributes(published->volume.get()));
  return true;
}

Result<void> forget_cached_names(const std::string& rootfs) {
  // What it was mounted with stays; that the cache is dropped is a part of any reconfiguration.
  const Result<UniqueFd> context = sys::fspick(AT_FDCWD, rootfs);
  if (!context.ok()) {
    // Not mounted, or in a mount namespace that cannot be seen from here.
    const int code = context.error().code();
    return code == EINVAL || code == ENOENT ? Result<void>() : context.error();
  }
  return sys::fsconfig_reconfigure(context.value().get()).in(rootfs);
}

Result<void> remove_volume(int place_fd, const std::string& name) {
  const Result<UniqueFd> volume = open_directory(place_fd, name);
  if (!volume.ok()) return volume.error().code() == ENOENT ? Result<void>() : volume.error();
  const std::atomic<bool> never{false};
  TRY(delete_contents(volume.value().get(), never));
  return sys::unlinkat(place_fd, name, AT_REMOVEDIR);
}

}  // namespace sysbox::mgr

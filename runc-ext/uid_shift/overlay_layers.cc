#include "runc-ext/uid_shift/overlay_layers.h"

#include <linux/magic.h>

#include <algorithm>
#include <charconv>

#include "common/mount_info.h"
#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

constexpr std::size_t kMaxOptionBytes = 4095;  // mount(2): data is at most one page

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}
std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// mountinfo writes the bytes , : \ space … of an option as \ooo on top of overlayfs's own "\:".
std::string without_octal_escapes(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '\\' && i + 3 < text.size() + 0U &&
        std::from_chars(&text[i + 1], &text[i + 1] + 3, value, 8).ptr == &text[i + 1] + 3) {
      out += static_cast<char>(value);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

// Splits at unescaped colons; "\:" is a colon of the name.
std::vector<std::string> split_layers(std::string_view text) {
  std::vector<std::string> layers(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      layers.back() += text[++i];
    } else if (text[i] == ':') {
      layers.emplace_back();
    } else {
      layers.back() += text[i];
    }
  }
  std::erase(layers, std::string());
  return layers;
}

Result<UniqueFd> id_mapped_clone(const std::string& path, int userns_fd) {
  UniqueFd clone = TRY(sys::open_tree(AT_FDCWD, path, OPEN_TREE_CLONE));
  sys::MountAttributes attributes;
  attributes.set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = userns_fd;
  const Result<void> mapped = sys::mount_setattr(clone.get(), "", 0, attributes);
  if (!mapped.ok()) {
    return errno_error(ENOTSUP, "the file system of the overlay layer '", path,
                       "' cannot be id-mapped (", errno_text(mapped.error().code()), ")");
  }
  return clone;
}

Result<void> attach_layer(const std::string& path, const std::string& name, int userns_fd) {
  const UniqueFd clone = TRY(id_mapped_clone(path, userns_fd));
  TRY(sys::mkdirat(AT_FDCWD, name, 0700));
  return sys::move_mount(clone.get(), "", AT_FDCWD, name);
}

// In a scratch directory that is the current one: layers at short relative names, so that
// hundreds of them fit into the option page.
Result<UniqueFd> mount_in_scratch(const OverlayLayers& layers, int userns_fd) {
  std::string data = "lowerdir=";
  for (std::size_t i = 0; i < layers.lower.size(); ++i) {
    const std::string name = std::to_string(i);
    TRY(attach_layer(layers.lower[i], name, userns_fd));
    data += (i == 0 ? "" : ":") + name;
  }
  if (!layers.upper.empty()) {
    // Upper and work directory must be on one mount (overlayfs: "must be on the same file
    // system" is checked by mount too), so their parent is cloned.
    TRY(attach_layer(parent_of(layers.upper), "rw", userns_fd));
    const std::string work = name_of(layers.work) + "-sysbox";
    const Result<void> made = sys::mkdirat(AT_FDCWD, "rw/" + work, 0700);
    if (!made.ok() && made.error().code() != EEXIST) return made.error();
    data += join(",upperdir=rw/", name_of(layers.upper), ",workdir=rw/", work);
  }
  for (const std::string& option : layers.options) data += "," + option;
  if (data.size() > kMaxOptionBytes) {
    return Error(E2BIG, join("overlay of ", layers.lower.size(), " layers: options too long"));
  }
  TRY(sys::mkdirat(AT_FDCWD, "merged", 0700));
  TRY(sys::mount("overlay", "merged", "overlay", 0, data)
          .in(join("id-mapped overlay (", data, ")")));
  return sys::open_tree(AT_FDCWD, "merged", OPEN_TREE_CLONE);
}

}  // namespace

Result<OverlayLayers> parse_overlay_options(std::string_view superblock_options,
                                            const std::string& base) {
  OverlayLayers layers;
  const auto absolute = [&base](const std::string& path) {
    return path.starts_with('/') ? path : base + "/" + path;
  };
  std::size_t start = 0;
  while (start <= superblock_options.size()) {
    std::size_t end = superblock_options.find(',', start);
    if (end == std::string_view::npos) end = superblock_options.size();
    const std::string option = without_octal_escapes(superblock_options.substr(start, end - start));
    start = end + 1;
    const std::size_t equals = option.find('=');
    const std::string name = option.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : option.substr(equals + 1);
    if (name == "lowerdir") {
      for (const std::string& layer : split_layers(value)) {
        layers.lower.push_back(absolute(layer));
      }
    } else if (name == "lowerdir+") {  // since Linux 6.8, one option for each layer
      layers.lower.push_back(absolute(value));
    } else if (name == "datadir+") {
      return Error(ENOTSUP, "rootfs: an overlay with data-only layers is not supported");
    } else if (name == "upperdir") {
      layers.upper = absolute(value);
    } else if (name == "workdir") {
      layers.work = absolute(value);
    } else if (!option.empty() && name != "rw" && name != "ro" && name != "seclabel" &&
               name != "context") {
      layers.options.push_back(option);
    }
  }
  if (layers.lower.empty()) return Error(EINVAL, "rootfs: an overlay without lowerdir");
  if (!layers.upper.empty() && parent_of(layers.upper) != parent_of(layers.work)) {
    return Error(ENOTSUP, join("rootfs: overlay upperdir '", layers.upper, "' and workdir '",
                               layers.work, "' are not in one directory"));
  }
  return layers;
}

namespace {

bool has_all_lower(const OverlayLayers& layers) {
  return std::all_of(layers.lower.begin(), layers.lower.end(),
                     [](const std::string& layer) { return sys::fstatat(AT_FDCWD, layer).ok(); });
}

// Engines with many layers mount from a directory of theirs, with names relative to it, which the
// kernel does not tell: Docker's is the one above the container's own, containerd's the one
// above all snapshots, of which the upper layer, always named in full, is one.
Result<OverlayLayers> layers_of(const MountInfo& mount) {
  const std::string docker_base = parent_of(parent_of(mount.target));
  OverlayLayers layers = TRY(parse_overlay_options(mount.superblock_options, docker_base));
  if (has_all_lower(layers)) return layers;
  for (std::string base = parent_of(layers.upper); base != "/"; base = parent_of(base)) {
    OverlayLayers other = TRY(parse_overlay_options(mount.superblock_options, base));
    if (has_all_lower(other)) return other;
  }
  return layers;  // which of them is not there shows when they are mounted
}

}  // namespace

Result<std::optional<OverlayLayers>> find_overlay(const std::string& rootfs) {
  const UniqueFd root = TRY(sys::open(rootfs, O_PATH | O_DIRECTORY));
  if (TRY(sys::fstatfs_type(root.get())) != OVERLAYFS_SUPER_MAGIC) return {std::nullopt};
  struct statx info {};
  if (::statx(root.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &info) != 0) {
    return last_error("statx '", rootfs, "'");
  }
  const std::string text = TRY(sys::read_file("/proc/self/mountinfo"));
  for (const MountInfo& mount : TRY(parse_mount_info(text))) {
    if (static_cast<std::uint64_t>(mount.mount_id) != info.stx_mnt_id) continue;
    // A directory inside an overlay (a rootfs kept in a container's own root) is no overlay root.
    if (mount.root != "/" || (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0) {
      return {std::nullopt};
    }
    return {TRY(layers_of(mount).in(join("rootfs '", rootfs, "'")))};
  }
  return Error(ENOENT, join("rootfs '", rootfs, "': its mount is not in /proc/self/mountinfo"));
}

std::string layer_directory(const OverlayLayers& layers) { return parent_of(layers.upper); }

std::string find_layer_for_images(const std::optional<OverlayLayers>& layers) {
  if (!layers) return "";
  const std::vector<std::string>& options = layers->options;
  const bool is_of_user = std::find(options.begin(), options.end(), "userxattr") != options.end();
  return is_of_user ? "" : layers->upper;
}

Result<UniqueFd> mount_shifted_overlay(const OverlayLayers& layers, const std::string& scratch,
                                       int userns_fd) {
  const UniqueFd old_cwd = TRY(sys::open(".", O_PATH | O_DIRECTORY));
  TRY(sys::mount("sysbox-layers", scratch, "tmpfs", MS_NOSUID | MS_NODEV, "mode=700"));
  if (::chdir(scratch.c_str()) != 0) return last_error("chdir '", scratch, "'");
  Result<UniqueFd> merged = mount_in_scratch(layers, userns_fd);
  TRY(sys::fchdir(old_cwd.get()));
  TRY(sys::umount(scratch, MNT_DETACH));
  return merged;
}

Result<std::vector<UniqueFd>> open_shared_layer(const std::string& rootfs,
                                                const OverlayLayers& layers, UniqueFd own_overlay) {
  const auto open_all = [&]() -> Result<std::vector<UniqueFd>> {
    std::vector<UniqueFd> fds;
    // A clone: the engine's own mount is not to be kept from being unmounted.
    fds.push_back(TRY(sys::open_tree(AT_FDCWD, rootfs, OPEN_TREE_CLONE)));
    fds.push_back(std::move(own_overlay));
    fds.push_back(TRY(sys::open(layer_directory(layers), O_PATH | O_DIRECTORY)));
    fds.push_back(TRY(sys::open(layers.upper, O_PATH | O_DIRECTORY)));
    return fds;
  };
  return open_all().in("what the engine copies into the container is not seen at once inside");
}

}  // namespace sysbox::runc

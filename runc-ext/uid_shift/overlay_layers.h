#pragma once

// The layers of an overlay mount, read back from the kernel, and the same overlay once more over
// id-mapped clones of them: overlayfs itself cannot be id-mapped, its layers can (Linux 5.19).

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/id_range.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox::runc {

struct OverlayLayers {
  std::vector<std::string> lower;  // on the host, topmost first; absolute
  std::string upper;               // empty: a read-only overlay
  std::string work;
  std::vector<std::string> options;  // the others: "index=off", "metacopy=on"
};

// `superblock_options` as in mountinfo; relative layers are below `base`.
Result<OverlayLayers> parse_overlay_options(std::string_view superblock_options,
                                            const std::string& base);

// The directory that holds the upper layer and the work directories.
std::string layer_directory(const OverlayLayers& layers);

// The layers if `rootfs` is the root of an overlay mount, else nothing.
Result<std::optional<OverlayLayers>> find_overlay(const std::string& rootfs);

// The upper layer, if engines make images of what is in it; "": there is none, or the overlay is
// one of an ordinary user, which keeps its markers in other attributes.
std::string find_layer_for_images(const std::optional<OverlayLayers>& layers);

// Mounts the overlay anew over id-mapped layers and returns it detached. The caller must be in a
// private mount namespace, in which `scratch` (a directory) is covered for the time being; its
// fsuid and fsgid must be the container root's, with all capabilities effective, or the overlay
// turns read-only (EOVERFLOW at its own first write).
// ENOTSUP: a layer's file system cannot be id-mapped.
// The engine's work directory stays untouched: ours is beside it, "<work>-sysbox".
Result<UniqueFd> mount_shifted_overlay(const OverlayLayers& layers, const std::string& scratch,
                                       int userns_fd);

// What sysbox-fs needs to make changes in the engine's overlay seen in the container's own, in the
// order of fs::StartRequest. `own_overlay`: a detached mount. The container runs without that too.
Result<std::vector<UniqueFd>> open_shared_layer(const std::string& rootfs,
                                                const OverlayLayers& layers, UniqueFd own_overlay);

}  // namespace sysbox::runc

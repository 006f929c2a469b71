#pragma once

// Puts a volume into the layer that images are made from, and takes it out again.
//
// While a container runs its volumes are beside the overlay's upper layer: an inner overlay below
// the upper layer of another would draw a warning of the kernel for each of its mounts, or be
// refused (index=on), and engines would count what is in it again and again. While it is stopped
// or paused, what is in the volume belongs where `docker commit`, `diff`, `export` and `cp`
// look. Both places are on one file system, so one rename does it, however much it is; the
// container's own mount of the volume does not notice.
//
// Which of the two is where is told by attributes trusted.sysbox.*, which only the host's root can
// set: there is no record that could be wrong.

#include <atomic>
#include <string>

#include "common/result.h"
#include "common/root_dir.h"

namespace sysbox::mgr {

enum class ImageContent { kNone, kSome };

// Marks the complete volume `name` in `place` as one that belongs at `path_in_layer`.
// kSome: in the layer it hides what the image has there.
Result<void> mark_volume(int place_fd, const std::string& name, const std::string& path_in_layer,
                         ImageContent content);

// Where `destination` of the container is in its upper layer, and if it is there, that it is a
// directory of the upper layer's own. Empty: nowhere that could be used.
Result<std::string> find_path_in_layer(const RootDir& rootfs, const std::string& destination);

// True if it was moved. Nothing is done for one that is there already, has no mark, or is empty
// and hides nothing.
// Once it is in the layer its attributes are listed; too late for them is a mistake like others,
// but leaves it there.
Result<bool> publish_volume(int place_fd, const std::string& name, int upper_fd, Deadline deadline,
                            const std::atomic<bool>& cancelled);
// True if it was moved. A volume that was removed from the layer meanwhile is gone.
Result<bool> withdraw_volume(int place_fd, const std::string& name, int upper_fd);

// The engine's own overlay remembers what was in its layers; after a change behind its back it
// has to look again.
Result<void> forget_cached_names(const std::string& rootfs);

// With all that is in it.
Result<void> remove_volume(int place_fd, const std::string& name);

}  // namespace sysbox::mgr

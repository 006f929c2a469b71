#pragma once

// Mounts that are id-mapped already: by which ids, and clones with other ones. Linux 6.15; before,
// all of these fail.

#include <cstdint>
#include <optional>

#include "common/id_range.h"
#include "common/result.h"
#include "common/syscalls.h"
#include "common/unique_fd.h"

namespace sysbox::seccomp {

// From ids on disk to the host's.
struct MountIdMaps {
  IdMap uids;
  IdMap gids;
  bool operator==(const MountIdMaps&) const = default;
};

// Whether all ids on disk that `part` maps are mapped by `whole`, and to the host's ids of no
// other.
bool is_within(const MountIdMaps& part, const MountIdMaps& whole);

// Of a mount in the calling thread's mount namespace, by its unique number; nothing if it is not
// id-mapped.
Result<std::optional<MountIdMaps>> read_mount_id_maps(std::uint64_t mount);

// open_tree_attr(2): a detached clone of the place's mount alone, with the ids of
// `attributes.userns_fd` instead of the old ones.
Result<UniqueFd> clone_with_attributes(int place_fd, const sys::MountAttributes& attributes);

}  // namespace sysbox::seccomp

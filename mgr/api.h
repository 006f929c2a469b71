#pragma once

// What sysbox-runc and sysbox-mgr say to each other: interface io.sysbox.manager, described in
// io.sysbox.manager.varlink. Structs only.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/id_range.h"

namespace sysbox::mgr {

inline constexpr const char* kInterface = "io.sysbox.manager";
inline constexpr const char* kDefaultSocket = "/run/sysbox/sysbox-mgr.sock";

// What a container gets unless it wants more: ids 0 … 65535, as many as a Linux system expects to
// have ("nobody" is 65534). All are given out in multiples of it.
inline constexpr std::uint32_t kRangeSize = 65536;
inline constexpr std::uint32_t kMostIds = 1U << 31U;

// Asks for everything that a container needs of the host for its life. Registering an id that
// is registered already fails with EEXIST.
struct RegisterRequest {
  std::string id;
  // The root file system as the bundle names it; absolute. The image's content of a special
  // directory is copied from here into a new volume.
  std::string rootfs;
  // The container is gone for good, and its volumes with it, when this path is: the directory
  // that the engine removes with the container (the overlay's own directory, or the rootfs).
  std::string lifeline;
  // Ids that the engine chose (a user namespace of its own); nothing: take them from the pool.
  // Both must be unused by any other live container outside its user namespace.
  std::optional<IdRange> given_uids;
  std::optional<IdRange> given_gids;
  // How many ids of the pool; 0: as many as sysbox-mgr gives to everybody.
  std::uint32_t ids = 0;
  // Destinations inside the container that the caller mounts itself: a special directory that
  // is one of them gets no volume. "/": no volumes at all.
  std::vector<std::string> own_destinations;
  // The process that makes the container: while it lives the registration counts as live, also
  // before the container has a process. 0: the client puts in its own.
  std::int32_t caller_pid = 0;
  // The inode number of the user namespace that the container joins instead of making one; 0:
  // it makes one. The given ids are that namespace's. Containers of one user namespace share them:
  // the first one claims them, the last one gives them back.
  std::uint64_t user_namespace = 0;
  // The overlay's upper layer, if the root file system is an overlay that images are made from:
  // the volumes are then beside it, and in it while the container is stopped or paused.
  std::string upper_layer;
};

// A host directory to mount at `destination`, with ids shifted: on disk it is owned by 0-based ids.
struct Volume {
  std::string destination;
  std::string source;

  bool operator==(const Volume&) const = default;
};

struct RegisterReply {
  IdRange uids;
  IdRange gids;
  std::vector<Volume> volumes;
};

// A registered container. An id "recovered:231072" stands for a range that running processes
// were seen to use when the daemon started without a record of them.
struct ListedContainer {
  std::string id;
  IdRange uids;
  IdRange gids;
  std::vector<Volume> volumes;
};

struct ListReply {
  std::vector<ListedContainer> containers;
  std::uint32_t ranges = 0;       // in the pool
  std::uint32_t free_ranges = 0;  // of these
};

}  // namespace sysbox::mgr

#pragma once

// What sysbox-runc and sysbox-fs say to each other: interface io.sysbox.emulator, described in
// io.sysbox.emulator.varlink. Structs only.

#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/id_range.h"
#include "common/unique_fd.h"

namespace sysbox::fs {

inline constexpr const char* kInterface = "io.sysbox.emulator";
inline constexpr const char* kDefaultSocket = "/run/sysbox/sysbox-fs.sock";

// Where the container's limits are: the directory, on the host, of the cgroup that the runtime
// made for it. cgroup v1: controller ("memory", "cpu", "cpuset", "pids" …) → directory.
// cgroup v2: the one entry "" → directory. On a hybrid host both kinds of entries may stand.
using CgroupDirectories = std::map<std::string, std::string, std::less<>>;

struct RegisterRequest {
  std::string id;
  IdMap uid_map;  // root inside owns the emulated files
  IdMap gid_map;
  CgroupDirectories cgroups;
  bool shows_hardware = false;  // it has devices of the host and sees them in /sys
};

// One emulated node, to be bound over `target` of the container's procfs or sysfs.
struct Piece {
  std::string filesystem;  // "proc" or "sysfs"
  std::string target;      // below that file system's root: "sys/kernel/panic"
  std::string source;      // its name below the root of the reply's tree
};

struct RegisterReply {
  std::vector<Piece> pieces;
  UniqueFd tree;  // detached FUSE mount, owned by the host's user namespace
};

// Called when the container's init exists and its mounts are in place, before it runs its program.
struct StartRequest {
  std::string id;
  int init_pid = 0;  // on the host; the pidfd that comes along (borrowed) is what is trusted
  int init_pidfd = -1;
  // Borrowed, all or none: SharedLayer's descriptors, if the root file system is an overlay of the
  // container's own over the layers of the engine's.
  std::span<const UniqueFd> shared_layer = {};
};
// The order of shared_layer: engine's overlay, container's overlay, layer directory, upper layer.
inline constexpr std::size_t kSharedLayerDescriptors = 4;

// One entry of List's reply; init_pid is 0 until the container was started.
struct ListedContainer {
  std::string id;
  int init_pid = 0;
};

}  // namespace sysbox::fs

#pragma once

// What lies below /sys/devices/system/cpu and /sys/devices/system/node: directories that are
// wholly ours. Their form is the host's, found out once; their contents are those of the host's
// processors that a container has, renumbered from 0, and of its memory.

#include <sys/types.h>

#include <array>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/root_dir.h"
#include "fs-emulator/container_view.h"

namespace sysbox::fs {

// The directories that there is one or many of.
enum class MachinePlace : std::uint8_t { kCpus, kCpu, kNodes, kNode };
inline constexpr std::size_t kMachinePlaces = 4;

struct MachineEntry;
using MachineReader = Result<std::string> (*)(const MachineEntry& entry, unsigned number,
                                              const ContainerView& container);

// A file, directory or symbolic link of a place.
struct MachineEntry {
  MachinePlace place;
  std::string below;             // "topology/core_id"
  mode_t mode;                   // with the file type
  MachineReader read = nullptr;  // of files and links; `number` is the cpu's or the node's
  // Of the links between cpus and nodes: the other end.
  unsigned other = 0;
};

struct MachineTree {
  // By place; what is in a directory follows the directory.
  std::array<std::vector<MachineEntry>, kMachinePlaces> entries;
  unsigned cpus = 0;
  std::vector<unsigned> nodes;

  const std::vector<MachineEntry>& of(MachinePlace place) const {
    return entries[static_cast<std::size_t>(place)];
  }
};

MachineTree scan_machine(const RootDir& host_sys);

// Whether the container has that cpu or memory node.
bool has_place(MachinePlace place, unsigned number, const ContainerView& container);
// Whether the entry is there, in a place that the container has: not every cpu is in every node.
bool has_entry(const MachineEntry& entry, unsigned number, const ContainerView& container);

}  // namespace sysbox::fs

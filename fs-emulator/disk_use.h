#pragma once

// What a container read from disks and wrote to them, from its io (or blkio) cgroup.

#include <cstdint>
#include <map>
#include <string>

#include "fs-emulator/container_view.h"

namespace sysbox::fs {

struct DiskUse {
  std::uint64_t reads = 0, read_bytes = 0, writes = 0, write_bytes = 0;
  std::uint64_t discards = 0, discard_bytes = 0;
};
using DiskUses = std::map<std::string, DiskUse, std::less<>>;  // by "major:minor"

// Only disks that the container has used.
DiskUses read_disk_uses(const ContainerView& container);

}  // namespace sysbox::fs

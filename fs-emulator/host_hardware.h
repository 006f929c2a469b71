#pragma once

// The directories of /proc and /sys that show what the host is made of: its devices with their
// serial numbers, its disks and their use, the file systems of other containers. Which there are
// differs from machine to machine, so they are looked up when a container is made.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fs-emulator/container_view.h"

namespace sysbox::fs {

// An empty directory lies over `path`, or over all directories in it but the kept ones.
struct HardwarePlace {
  enum class Covers { kItself, kItsDirectories };
  std::string_view path;
  Covers covers;
  std::string_view keeps;  // names, separated by spaces
  std::string_view because;
};
std::span<const HardwarePlace> hardware_places();

// Those there are: "/sys/devices/pci0000:00".
std::vector<std::string> hardware_directories(const HostFiles& host);

}  // namespace sysbox::fs

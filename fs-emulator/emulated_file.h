#pragma once

// EmulatedFile: ContainerView in, text out.

#include <sys/types.h>

#include <span>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"
#include "fs-emulator/container_view.h"

namespace sysbox::fs {

// A file whose text is made when it is opened, from the limits of whoever opens it.
struct EmulatedFile {
  std::string_view path;  // "/proc/uptime", "/sys/devices/system/cpu/online"
  mode_t mode;
  Result<std::string> (*read)(const ContainerView& container);
  std::string_view shows;  // for the documentation
  // The kernel's file that takes the triggers which are written here, open for them.
  Result<UniqueFd> (*open_for_triggers)(const ContainerView& container) = nullptr;
};

// A directory that is wholly ours: the emulated files below it, and nothing of the kernel's.
struct EmulatedDirectory {
  std::string_view path;
  std::string_view shows;
};

// A directory of the host that has no business in a container: an empty one lies over it.
struct MaskedPath {
  std::string_view path;
  std::string_view because;
};

std::span<const EmulatedFile> emulated_files();
std::span<const EmulatedDirectory> emulated_directories();
std::span<const MaskedPath> masked_paths();

Result<UniqueFd> open_cpu_pressure(const ContainerView& container);
Result<UniqueFd> open_io_pressure(const ContainerView& container);
Result<UniqueFd> open_irq_pressure(const ContainerView& container);
Result<UniqueFd> open_memory_pressure(const ContainerView& container);

Result<std::string> read_buddyinfo(const ContainerView& container);
Result<std::string> read_cpu_pressure(const ContainerView& container);
Result<std::string> read_cpuinfo(const ContainerView& container);
Result<std::string> read_diskstats(const ContainerView& container);
Result<std::string> read_interrupts(const ContainerView& container);
Result<std::string> read_io_pressure(const ContainerView& container);
Result<std::string> read_irq_pressure(const ContainerView& container);
Result<std::string> read_loadavg(const ContainerView& container);
Result<std::string> read_meminfo(const ContainerView& container);
Result<std::string> read_memory_pressure(const ContainerView& container);
Result<std::string> read_partitions(const ContainerView& container);
Result<std::string> read_schedstat(const ContainerView& container);
Result<std::string> read_slabinfo(const ContainerView& container);
Result<std::string> read_softirqs(const ContainerView& container);
Result<std::string> read_stat(const ContainerView& container);
Result<std::string> read_swaps(const ContainerView& container);
Result<std::string> read_uptime(const ContainerView& container);
Result<std::string> read_vmstat(const ContainerView& container);
Result<std::string> read_zoneinfo(const ContainerView& container);

}  // namespace sysbox::fs

#pragma once

// A container's memory as the files of /proc tell it, in kB.

#include <cstdint>
#include <string_view>

#include "fs-emulator/container_view.h"

namespace sysbox::fs {

struct MemoryFigures {
  std::uint64_t total_kb = 0;
  std::uint64_t free_kb = 0;
  std::uint64_t available_kb = 0;
  std::uint64_t swap_total_kb = 0;
  std::uint64_t swap_free_kb = 0;
  MemoryStat stat;  // bytes
};

// `host_meminfo` is the text of the host's /proc/meminfo.
MemoryFigures memory_figures(std::string_view host_meminfo, const MemoryUse& use);
// As above, for whoever asks; a container without a memory cgroup uses nothing of all.
Result<MemoryFigures> read_memory_figures(const ContainerView& container);

// The number of a line "Name:   123 kB" of meminfo; 0 if it is absent.
std::uint64_t meminfo_value(std::string_view meminfo, std::string_view name);

}  // namespace sysbox::fs

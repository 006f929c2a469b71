#pragma once

// A container's memory as the files of /proc tell it, in kB.

#include <cstdint>
#include <string>
#include <string_view>

#include "fs-emulator/container_view.h"

namespace sysbox::fs {

struct MemoryFigures {
  std::uint64_t total_kb = 0;
  std::uint64_t free_kb = 0;
  std::uint64_t available_kb = 0;
  std::uint64_t cached_kb = 0;  // as in meminfo: without what is in swap as well
  std::uint64_t swap_total_kb = 0;
  std::uint64_t swap_free_kb = 0;
  // Of the host's pool of huge pages, what the container was given by a limit of its own.
  std::uint64_t huge_page_kb = 0;
  std::uint64_t huge_pages_total = 0;
  std::uint64_t huge_pages_free = 0;
  MemoryStat stat;  // bytes
  // As in MemoryUse.
  std::string stat_text;
  std::uint64_t oom_kills_count = 0;
};

// `host_meminfo` is the text of the host's /proc/meminfo.
MemoryFigures memory_figures(std::string_view host_meminfo, const MemoryUse& use);
// As above, for whoever asks; a container without a memory cgroup uses nothing of all.
Result<MemoryFigures> read_memory_figures(const ContainerView& container);
MemoryFigures read_memory_figures(const ContainerView& container, std::string_view host_meminfo);

// The number in the line of that name in /proc/meminfo and in that of a memory node.
std::uint64_t meminfo_line_value(std::string_view name, const MemoryFigures& figures);
// The line with another number, right-aligned where its own stood.
void append_meminfo_line(std::string& out, std::string_view line, std::uint64_t value);

// The line of that name in /proc/vmstat and /proc/zoneinfo; 0 for what is not kept per cgroup.
std::uint64_t vmstat_value(std::string_view name, const MemoryFigures& figures);
std::uint64_t pages(std::uint64_t kb);

// The number of a line "Name:   123 kB" of meminfo; 0 if it is absent.
std::uint64_t meminfo_value(std::string_view meminfo, std::string_view name);

}  // namespace sysbox::fs

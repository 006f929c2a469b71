#include "fs-emulator/memory_figures.h"

#include <algorithm>

#include "fs-emulator/text_fields.h"

namespace sysbox::fs {
namespace {
constexpr std::uint64_t kKb = 1024;
}

std::uint64_t meminfo_value(std::string_view meminfo, std::string_view name) {
  while (!meminfo.empty()) {
    std::string_view line = next_line(meminfo);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || line.substr(0, colon) != name) continue;
    line.remove_prefix(colon + 1);
    return parse_unsigned(next_field(line)).value_or(0);
  }
  return 0;
}

MemoryFigures memory_figures(std::string_view host_meminfo, const MemoryUse& use) {
  MemoryFigures figures;
  figures.stat = use.stat;
  const std::uint64_t host_total_kb = meminfo_value(host_meminfo, "MemTotal");
  figures.total_kb = host_total_kb;
  if (use.limit_bytes) figures.total_kb = std::min(host_total_kb, *use.limit_bytes / kKb);

  const std::uint64_t used_kb = std::min(use.usage_bytes / kKb, figures.total_kb);
  figures.free_kb = figures.total_kb - used_kb;
  const std::uint64_t reclaimable_kb =
      (use.stat.active_file + use.stat.inactive_file + use.stat.slab_reclaimable) / kKb;
  figures.available_kb = std::min(figures.total_kb, figures.free_kb + reclaimable_kb);

  const std::uint64_t host_swap_kb = meminfo_value(host_meminfo, "SwapTotal");
  figures.swap_total_kb = host_swap_kb;
  if (use.swap_limit_bytes) {
    figures.swap_total_kb = std::min(host_swap_kb, *use.swap_limit_bytes / kKb);
  }
  figures.swap_free_kb =
      figures.swap_total_kb - std::min(figures.swap_total_kb, use.swap_usage_bytes / kKb);
  return figures;
}

Result<MemoryFigures> read_memory_figures(const ContainerView& container) {
  const std::string host = TRY(container.host_proc("meminfo"));
  Result<MemoryUse> use = container.memory();
  return memory_figures(host, use.ok() ? use.value() : MemoryUse{});
}

}  // namespace sysbox::fs

#include "fs-emulator/memory_figures.h"

#include <algorithm>

#include "fs-emulator/text_fields.h"

namespace sysbox::fs {
namespace {

constexpr std::uint64_t kKb = 1024;

// As the files of the hugetlb controller are named: "64KB", "2MB", "1GB".
std::string size_name(std::uint64_t kb) {
  if (kb >= kKb * kKb) return join(kb / kKb / kKb, "GB");
  return kb >= kKb ? join(kb / kKb, "MB") : join(kb, "KB");
}

// Whoever has no limit may take pages from the host's pool, but they are no memory of its own.
void add_huge_pages(const ContainerView& container, std::string_view host_meminfo,
                    MemoryFigures& figures) {
  figures.huge_page_kb = meminfo_value(host_meminfo, "Hugepagesize");
  const std::uint64_t pool = meminfo_value(host_meminfo, "HugePages_Total");
  if (pool == 0 || figures.huge_page_kb == 0) return;
  const Result<CgroupLevels> levels = container.levels("hugetlb");
  if (!levels.ok()) return;
  const auto use = read_huge_page_use(levels.value(), size_name(figures.huge_page_kb));
  if (!use) return;
  const std::uint64_t page_bytes = figures.huge_page_kb * kKb;
  figures.huge_pages_total = std::min(pool, use->limit_bytes / page_bytes);
  const std::uint64_t left =
      figures.huge_pages_total - std::min(figures.huge_pages_total, use->usage_bytes / page_bytes);
  figures.huge_pages_free = std::min(left, meminfo_value(host_meminfo, "HugePages_Free"));
}

}  // namespace

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
  figures.stat_text = use.stat_text;
  figures.oom_kills_count = use.oom_kills_count;
  const std::uint64_t host_total_kb = meminfo_value(host_meminfo, "MemTotal");
  figures.total_kb = host_total_kb;
  if (use.limit_bytes) figures.total_kb = std::min(host_total_kb, *use.limit_bytes / kKb);

  // The parts were read after their sum and may be more by then; nobody is to see more memory
  // in use than there is.
  const MemoryStat& stat = use.stat;
  const std::uint64_t parts = stat.anon + stat.file + stat.slab_reclaimable +
                              stat.slab_unreclaimable + stat.kernel_stack + stat.page_tables;
  const std::uint64_t used_kb = std::min(std::max(use.usage_bytes, parts) / kKb, figures.total_kb);
  figures.free_kb = figures.total_kb - used_kb;
  const std::uint64_t anon_kb = std::min(stat.anon / kKb, figures.total_kb);
  figures.cached_kb = std::min((stat.file - std::min(stat.file, stat.swap_cached)) / kKb,
                               figures.total_kb - anon_kb);
  const std::uint64_t reclaimable_kb =
      (stat.active_file + stat.inactive_file + stat.slab_reclaimable) / kKb;
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

MemoryFigures read_memory_figures(const ContainerView& container, std::string_view host_meminfo) {
  MemoryFigures figures = memory_figures(host_meminfo, container.memory().value_or({}));
  add_huge_pages(container, host_meminfo, figures);
  return figures;
}

Result<MemoryFigures> read_memory_figures(const ContainerView& container) {
  const std::string host = TRY(container.host_proc("meminfo"));
  return read_memory_figures(container, host);
}

}  // namespace sysbox::fs

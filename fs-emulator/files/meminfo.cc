#include <algorithm>
#include <array>

#include "fs-emulator/emulated_file.h"
#include "fs-emulator/memory_figures.h"
#include "fs-emulator/text_fields.h"

namespace sysbox::fs {
namespace {

using Figures = MemoryFigures;
constexpr std::uint64_t kKb = 1024;

// Kept per cgroup is what was touched, not what was promised.
std::uint64_t committed_kb(const Figures& f) {
  return (f.stat.anon + f.stat.shmem) / kKb + f.swap_total_kb - f.swap_free_kb;
}

struct Line {
  std::string_view name;
  std::uint64_t (*value)(const Figures&);
};

// What the container's own numbers are. Every other line of the host's file stands there as 0,
// but for kHostLines: it is the host's business.
constexpr std::array kLines = {
    Line{"MemTotal", [](const Figures& f) { return f.total_kb; }},
    Line{"MemFree", [](const Figures& f) { return f.free_kb; }},
    Line{"MemUsed", [](const Figures& f) { return f.total_kb - f.free_kb; }},
    Line{"FilePages", [](const Figures& f) { return f.stat.file / kKb; }},
    Line{"MemAvailable", [](const Figures& f) { return f.available_kb; }},
    Line{"Cached", [](const Figures& f) { return f.cached_kb; }},
    Line{"SwapCached", [](const Figures& f) { return f.stat.swap_cached / kKb; }},
    Line{"Active",
         [](const Figures& f) { return (f.stat.active_anon + f.stat.active_file) / kKb; }},
    Line{"Inactive",
         [](const Figures& f) { return (f.stat.inactive_anon + f.stat.inactive_file) / kKb; }},
    Line{"Active(anon)", [](const Figures& f) { return f.stat.active_anon / kKb; }},
    Line{"Inactive(anon)", [](const Figures& f) { return f.stat.inactive_anon / kKb; }},
    Line{"Active(file)", [](const Figures& f) { return f.stat.active_file / kKb; }},
    Line{"Inactive(file)", [](const Figures& f) { return f.stat.inactive_file / kKb; }},
    Line{"Unevictable", [](const Figures& f) { return f.stat.unevictable / kKb; }},
    Line{"Mlocked", [](const Figures& f) { return f.stat.unevictable / kKb; }},
    Line{"SwapTotal", [](const Figures& f) { return f.swap_total_kb; }},
    Line{"SwapFree", [](const Figures& f) { return f.swap_free_kb; }},
    Line{"Zswap", [](const Figures& f) { return f.stat.zswap / kKb; }},
    Line{"Zswapped", [](const Figures& f) { return f.stat.zswapped / kKb; }},
    Line{"Dirty", [](const Figures& f) { return f.stat.file_dirty / kKb; }},
    Line{"Writeback", [](const Figures& f) { return f.stat.file_writeback / kKb; }},
    Line{"AnonPages", [](const Figures& f) { return f.stat.anon / kKb; }},
    Line{"Mapped", [](const Figures& f) { return f.stat.file_mapped / kKb; }},
    Line{"Shmem", [](const Figures& f) { return f.stat.shmem / kKb; }},
    Line{"KReclaimable", [](const Figures& f) { return f.stat.slab_reclaimable / kKb; }},
    Line{"Slab",
         [](const Figures& f) {
           return (f.stat.slab_reclaimable + f.stat.slab_unreclaimable) / kKb;
         }},
    Line{"SReclaimable", [](const Figures& f) { return f.stat.slab_reclaimable / kKb; }},
    Line{"SUnreclaim", [](const Figures& f) { return f.stat.slab_unreclaimable / kKb; }},
    Line{"KernelStack", [](const Figures& f) { return f.stat.kernel_stack / kKb; }},
    Line{"PageTables", [](const Figures& f) { return f.stat.page_tables / kKb; }},
    Line{"SecPageTables", [](const Figures& f) { return f.stat.secondary_page_tables / kKb; }},
    // As with the default vm.overcommit_ratio of 50.
    Line{"CommitLimit", [](const Figures& f) { return f.total_kb / 2 + f.swap_total_kb; }},
    Line{"Committed_AS", committed_kb},
    Line{"VmallocUsed", [](const Figures& f) { return f.stat.vmalloc / kKb; }},
    Line{"Percpu", [](const Figures& f) { return f.stat.per_cpu / kKb; }},
    Line{"AnonHugePages", [](const Figures& f) { return f.stat.anon_huge / kKb; }},
    Line{"ShmemHugePages", [](const Figures& f) { return f.stat.shmem_huge / kKb; }},
    Line{"FileHugePages", [](const Figures& f) { return f.stat.file_huge / kKb; }},
    Line{"HugePages_Total", [](const Figures& f) { return f.huge_pages_total; }},
    Line{"HugePages_Free", [](const Figures& f) { return f.huge_pages_free; }},
    Line{"Hugetlb", [](const Figures& f) { return f.huge_pages_total * f.huge_page_kb; }},
    // How the kernel maps the memory; all of it, in small pages.
    Line{"DirectMap4k", [](const Figures& f) { return f.total_kb; }},
};
constexpr std::array<std::string_view, 2> kHostLines = {"Hugepagesize", "VmallocTotal"};

}  // namespace

std::uint64_t meminfo_line_value(std::string_view name, const MemoryFigures& figures) {
  const auto known = std::find_if(kLines.begin(), kLines.end(),
                                  [name](const Line& entry) { return entry.name == name; });
  return known == kLines.end() ? 0 : known->value(figures);
}

void append_meminfo_line(std::string& out, std::string_view line, std::uint64_t value) {
  const std::size_t colon = line.find(':');
  std::size_t begin = colon + 1;
  while (begin < line.size() && line[begin] == ' ') ++begin;
  std::size_t end = begin;
  while (end < line.size() && line[end] != ' ') ++end;
  const std::string number = std::to_string(value);
  out += line.substr(0, colon + 1);
  const std::size_t width = end - colon - 1;
  out.append(width > number.size() ? width - number.size() : 1, ' ');
  out += number;
  out += line.substr(end);
  out += '\n';
}

Result<std::string> read_meminfo(const ContainerView& container) {
  const std::string host = TRY(container.host_proc("meminfo"));
  const Figures figures = read_memory_figures(container, host);
  std::string out;
  out.reserve(host.size());
  std::string_view rest = host;
  while (!rest.empty()) {
    const std::string_view line = next_line(rest);
    const std::string_view name = line.substr(0, line.find(':'));
    if (name.size() == line.size()) continue;  // no line that we know the form of
    if (std::find(kHostLines.begin(), kHostLines.end(), name) != kHostLines.end()) {
      out += line;
      out += '\n';
      continue;
    }
    append_meminfo_line(out, line, meminfo_line_value(name, figures));
  }
  return out;
}

}  // namespace sysbox::fs

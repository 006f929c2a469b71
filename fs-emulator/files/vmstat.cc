#include <algorithm>
#include <array>

#include "fs-emulator/emulated_file.h"
#include "fs-emulator/memory_figures.h"
#include "fs-emulator/text_fields.h"

namespace sysbox::fs {
namespace {

using Figures = MemoryFigures;
constexpr std::uint64_t kPage = 4096;

struct Line {
  std::string_view name;
  std::uint64_t (*value)(const Figures&);
};

// What is counted per cgroup; every other line of the host's file stands there as 0.
constexpr std::array kLines = {
    Line{"nr_free_pages", [](const Figures& f) { return f.free_kb * 1024 / kPage; }},
    Line{"nr_zone_inactive_anon", [](const Figures& f) { return f.stat.inactive_anon / kPage; }},
    Line{"nr_zone_active_anon", [](const Figures& f) { return f.stat.active_anon / kPage; }},
    Line{"nr_zone_inactive_file", [](const Figures& f) { return f.stat.inactive_file / kPage; }},
    Line{"nr_zone_active_file", [](const Figures& f) { return f.stat.active_file / kPage; }},
    Line{"nr_inactive_anon", [](const Figures& f) { return f.stat.inactive_anon / kPage; }},
    Line{"nr_active_anon", [](const Figures& f) { return f.stat.active_anon / kPage; }},
    Line{"nr_inactive_file", [](const Figures& f) { return f.stat.inactive_file / kPage; }},
    Line{"nr_active_file", [](const Figures& f) { return f.stat.active_file / kPage; }},
    Line{"nr_unevictable", [](const Figures& f) { return f.stat.unevictable / kPage; }},
    Line{"nr_slab_reclaimable", [](const Figures& f) { return f.stat.slab_reclaimable / kPage; }},
    Line{"nr_slab_unreclaimable",
         [](const Figures& f) { return f.stat.slab_unreclaimable / kPage; }},
    Line{"nr_anon_pages", [](const Figures& f) { return f.stat.anon / kPage; }},
    Line{"nr_mapped", [](const Figures& f) { return f.stat.file_mapped / kPage; }},
    Line{"nr_file_pages", [](const Figures& f) { return f.stat.file / kPage; }},
    Line{"nr_dirty", [](const Figures& f) { return f.stat.file_dirty / kPage; }},
    Line{"nr_writeback", [](const Figures& f) { return f.stat.file_writeback / kPage; }},
    Line{"nr_shmem", [](const Figures& f) { return f.stat.shmem / kPage; }},
    Line{"pgfault", [](const Figures& f) { return f.stat.page_faults_count; }},
    Line{"pgmajfault", [](const Figures& f) { return f.stat.major_faults_count; }},
};

}  // namespace

Result<std::string> read_vmstat(const ContainerView& container) {
  const std::string host = TRY(container.host_proc("vmstat"));
  const Figures figures = TRY(read_memory_figures(container));
  std::string out;
  out.reserve(host.size());
  std::string_view rest = host;
  while (!rest.empty()) {
    std::string_view line = next_line(rest);
    const std::string_view name = next_field(line);
    const auto known = std::find_if(kLines.begin(), kLines.end(),
                                    [name](const Line& entry) { return entry.name == name; });
    out += name;
    out += join(" ", known == kLines.end() ? 0 : known->value(figures), "\n");
  }
  return out;
}

}  // namespace sysbox::fs

#include <unistd.h>

#include <algorithm>
#include <array>

#include "fs-emulator/disk_use.h"
#include "fs-emulator/emulated_file.h"
#include "fs-emulator/memory_figures.h"
#include "fs-emulator/text_fields.h"

namespace sysbox::fs {
namespace {

using Figures = MemoryFigures;
constexpr std::uint64_t kHugePage = 2U << 20U;

std::uint64_t page_bytes() {
  static const auto bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

struct Line {
  std::string_view name;
  std::uint64_t (*value)(const Figures&);
};

// What is counted per cgroup under another name; see also kEvents.
constexpr std::array kLines = {
    Line{"nr_free_pages", [](const Figures& f) { return pages(f.free_kb); }},
    Line{"nr_zone_inactive_anon",
         [](const Figures& f) { return f.stat.inactive_anon / page_bytes(); }},
    Line{"nr_zone_active_anon", [](const Figures& f) { return f.stat.active_anon / page_bytes(); }},
    Line{"nr_zone_inactive_file",
         [](const Figures& f) { return f.stat.inactive_file / page_bytes(); }},
    Line{"nr_zone_active_file", [](const Figures& f) { return f.stat.active_file / page_bytes(); }},
    Line{"nr_zone_unevictable", [](const Figures& f) { return f.stat.unevictable / page_bytes(); }},
    Line{"nr_zone_write_pending",
         [](const Figures& f) {
           return (f.stat.file_dirty + f.stat.file_writeback) / page_bytes();
         }},
    Line{"nr_mlock", [](const Figures& f) { return f.stat.unevictable / page_bytes(); }},
    Line{"nr_inactive_anon", [](const Figures& f) { return f.stat.inactive_anon / page_bytes(); }},
    Line{"nr_active_anon", [](const Figures& f) { return f.stat.active_anon / page_bytes(); }},
    Line{"nr_inactive_file", [](const Figures& f) { return f.stat.inactive_file / page_bytes(); }},
    Line{"nr_active_file", [](const Figures& f) { return f.stat.active_file / page_bytes(); }},
    Line{"nr_unevictable", [](const Figures& f) { return f.stat.unevictable / page_bytes(); }},
    Line{"nr_slab_reclaimable",
         [](const Figures& f) { return f.stat.slab_reclaimable / page_bytes(); }},
    Line{"nr_slab_unreclaimable",
         [](const Figures& f) { return f.stat.slab_unreclaimable / page_bytes(); }},
    Line{"nr_anon_pages", [](const Figures& f) { return f.stat.anon / page_bytes(); }},
    Line{"nr_mapped", [](const Figures& f) { return f.stat.file_mapped / page_bytes(); }},
    Line{"nr_file_pages", [](const Figures& f) { return f.stat.file / page_bytes(); }},
    Line{"nr_dirty", [](const Figures& f) { return f.stat.file_dirty / page_bytes(); }},
    Line{"nr_writeback", [](const Figures& f) { return f.stat.file_writeback / page_bytes(); }},
    Line{"nr_shmem", [](const Figures& f) { return f.stat.shmem / page_bytes(); }},
    Line{"nr_shmem_hugepages", [](const Figures& f) { return f.stat.shmem_huge / kHugePage; }},
    Line{"nr_file_hugepages", [](const Figures& f) { return f.stat.file_huge / kHugePage; }},
    Line{"nr_anon_transparent_hugepages",
         [](const Figures& f) { return f.stat.anon_huge / kHugePage; }},
    Line{"nr_kernel_stack", [](const Figures& f) { return f.stat.kernel_stack / 1024; }},
    Line{"nr_page_table_pages", [](const Figures& f) { return f.stat.page_tables / page_bytes(); }},
    Line{"nr_sec_page_table_pages",
         [](const Figures& f) { return f.stat.secondary_page_tables / page_bytes(); }},
    Line{"nr_swapcached", [](const Figures& f) { return f.stat.swap_cached / page_bytes(); }},
    Line{"pgfault", [](const Figures& f) { return f.stat.page_faults_count; }},
    Line{"pgmajfault", [](const Figures& f) { return f.stat.major_faults_count; }},
    Line{"oom_kill", [](const Figures& f) { return f.oom_kills_count; }},
};

// What memory.stat counts under the same names.
constexpr std::array<std::string_view, 13> kEvents = {
    "pgactivate", "pgdeactivate", "pgdemote", "pglazyfree", "pgpromote",   "pgrefill", "pgscan",
    "pgsteal",    "pswp",         "swp",      "thp_",       "workingset_", "zsw"};

bool is_event(std::string_view name) {
  return std::any_of(kEvents.begin(), kEvents.end(),
                     [name](std::string_view prefix) { return name.starts_with(prefix); });
}

std::uint64_t event_count(std::string_view name, std::string_view stat_text) {
  while (!stat_text.empty()) {
    std::string_view line = next_line(stat_text);
    if (next_field(line) == name) return parse_unsigned(line).value_or(0);
  }
  return 0;
}

}  // namespace

std::uint64_t pages(std::uint64_t kb) { return kb * 1024 / page_bytes(); }

std::uint64_t vmstat_value(std::string_view name, const MemoryFigures& figures) {
  const auto known = std::find_if(kLines.begin(), kLines.end(),
                                  [name](const Line& entry) { return entry.name == name; });
  if (known != kLines.end()) return known->value(figures);
  return is_event(name) ? event_count(name, figures.stat_text) : 0;
}

Result<std::string> read_vmstat(const ContainerView& container) {
  const std::string host = TRY(container.host_proc("vmstat"));
  const Figures figures = TRY(read_memory_figures(container));
  DiskUse disks;
  for (const auto& [device, use] : read_disk_uses(container)) {
    disks.read_bytes += use.read_bytes;
    disks.write_bytes += use.write_bytes;
  }
  std::string out;
  out.reserve(host.size());
  std::string_view rest = host;
  while (!rest.empty()) {
    std::string_view line = next_line(rest);
    const std::string_view name = next_field(line);
    std::uint64_t value = vmstat_value(name, figures);
    if (name == "pgpgin") value = disks.read_bytes / 1024;
    if (name == "pgpgout") value = disks.write_bytes / 1024;
    out += join(name, " ", value, "\n");
  }
  return out;
}

}  // namespace sysbox::fs

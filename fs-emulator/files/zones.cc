// /proc/zoneinfo and /proc/buddyinfo: all of the container's memory as one zone of one node.

#include <algorithm>

#include "fs-emulator/emulated_file.h"
#include "fs-emulator/memory_figures.h"
#include "fs-emulator/text_fields.h"

namespace sysbox::fs {
namespace {

constexpr std::string_view kZone = "Node 0, zone   Normal";

// The host's first zone with memory, which has the node's statistics: the running kernel's form.
std::string_view first_populated_zone(std::string_view zoneinfo) {
  const std::size_t stats = zoneinfo.find("per-node stats");
  if (stats == std::string_view::npos) return {};
  const std::size_t begin = zoneinfo.rfind("Node ", stats);
  const std::size_t end = zoneinfo.find("\nNode ", stats);
  if (begin == std::string_view::npos) return {};
  return zoneinfo.substr(begin, end == std::string_view::npos ? end : end + 1 - begin);
}

// The line with another number at its end; every other number in it (of a list) is 0.
std::string with_number(std::string_view line, std::uint64_t number) {
  std::string out;
  std::size_t at = 0;
  while (at < line.size()) {
    const std::size_t begin = line.find_first_of("0123456789", at);
    const bool is_in_name = begin != std::string_view::npos && begin > 0 &&
                            line[begin - 1] != ' ' && line[begin - 1] != '(';
    if (begin == std::string_view::npos) break;
    const std::size_t end = std::min(line.find_first_not_of("0123456789", begin), line.size());
    out += line.substr(at, begin - at);
    if (is_in_name) {
      out += line.substr(begin, end - begin);
    } else {
      out += std::to_string(end == line.size() ? number : 0);
    }
    at = end;
  }
  return out.append(line.substr(std::min(at, line.size()))) + "\n";
}

std::uint64_t zone_value(std::string_view line, const MemoryFigures& figures) {
  std::string_view key = next_field(line);
  if (key == "pages") key = next_field(line);
  if (key == "free") return vmstat_value("nr_free_pages", figures);
  // No watermarks: the limit of a cgroup has none.
  if (key == "spanned" || key == "present" || key == "managed") return pages(figures.total_kb);
  return vmstat_value(key, figures);
}

bool starts_with_field(std::string_view line, std::string_view field) {
  return next_field(line) == field;
}

}  // namespace

Result<std::string> read_zoneinfo(const ContainerView& container) {
  const std::string host = TRY(container.host_proc("zoneinfo"));
  const MemoryFigures figures = TRY(read_memory_figures(container));
  std::string out = join(kZone, "\n");
  std::string pageset;  // of the first cpu, without the line that names it
  std::string_view rest = first_populated_zone(host);
  (void)next_line(rest);
  std::size_t pagesets_seen = 0;
  while (!rest.empty()) {
    const std::string_view line = next_line(rest);
    if (starts_with_field(line, "cpu:")) {
      ++pagesets_seen;
      continue;
    }
    const bool is_after_pagesets = starts_with_field(line, "node_unreclaimable:");
    if (is_after_pagesets) {
      const std::size_t cpus = container.cpus().host_cpus.size();
      for (std::size_t i = 0; i < cpus; ++i) out += join("    cpu: ", i, "\n", pageset);
      pagesets_seen = 0;
    }
    if (pagesets_seen > 1) continue;
    (pagesets_seen == 1 ? pageset : out) += with_number(line, zone_value(line, figures));
  }
  return out;
}

Result<std::string> read_buddyinfo(const ContainerView& container) {
  constexpr std::size_t kWidth = 6;
  const std::string host = TRY(container.host_proc("buddyinfo"));
  const MemoryFigures figures = TRY(read_memory_figures(container));
  // As many sizes of blocks as the running kernel has.
  std::string_view all = host;
  std::string_view line = next_line(all);
  for (int i = 0; i < 4; ++i) (void)next_field(line);  // "Node 0, zone DMA"
  std::size_t orders = 0;
  while (!next_field(line).empty()) ++orders;

  std::string out = join(kZone, " ");
  std::uint64_t free_pages = vmstat_value("nr_free_pages", figures);
  for (std::size_t order = 0; order < orders; ++order) {
    const bool is_largest = order + 1 == orders;
    const std::string blocks = std::to_string(is_largest ? free_pages : free_pages % 2);
    out.append(kWidth - std::min(kWidth, blocks.size()), ' ');
    out += blocks + " ";
    free_pages /= 2;
  }
  return out + "\n";
}

}  // namespace sysbox::fs

#include "mgr/live_processes.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <string>

#include "mgr/directory_entries.h"

namespace sysbox::mgr {
namespace {

constexpr int kStartTimeField = 22;

// The next word of `text`, which is cut off it; empty at the end.
std::string_view next_word(std::string_view& text) {
  constexpr std::string_view kBlank = " \t\n";
  text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  const std::string_view word = text.substr(0, text.find_first_of(kBlank));
  text.remove_prefix(word.size());
  return word;
}

template <typename Number>
bool parse_number(std::string_view word, Number& number) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc() && end == word.data() + word.size();
}

bool is_pid(std::string_view name) {
  return !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

IdMap parse_id_map(std::string_view text) {
  IdMap map;
  for (;;) {
    IdMapEntry entry;
    const std::string_view container_first = next_word(text);
    const std::string_view host_first = next_word(text);
    const std::string_view count = next_word(text);
    if (count.empty()) return map;
    if (parse_number(container_first, entry.container_first) &&
        parse_number(host_first, entry.host_first) && parse_number(count, entry.count)) {
      map.entries.push_back(entry);
    }
  }
}

std::optional<std::uint64_t> parse_start_time(std::string_view stat_line) {
  // The second field is the program's name in parentheses, which may hold any character.
  const std::size_t name_end = stat_line.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  stat_line.remove_prefix(name_end + 1);
  std::string_view word;
  for (int field = 3; field <= kStartTimeField; ++field) word = next_word(stat_line);
  std::uint64_t start_time = 0;
  if (!parse_number(word, start_time)) return std::nullopt;
  return start_time;
}

Result<LiveProcesses> LiveProcesses::open(const std::string& proc_path) {
  return LiveProcesses(TRY(RootDir::open(proc_path)));
}

std::optional<ProcessIdentity> LiveProcesses::identify(std::int32_t pid) const {
  if (pid <= 0) return std::nullopt;
  const Result<std::string> stat = sys::read_file_at(proc_.fd(), join(pid, "/stat"));
  if (!stat.ok()) return std::nullopt;
  const std::optional<std::uint64_t> start_time = parse_start_time(stat.value());
  if (!start_time) return std::nullopt;
  return ProcessIdentity{pid, *start_time};
}

Result<std::vector<IdRange>> LiveProcesses::mapped_uids() const {
  const std::string own_map = TRY(sys::read_file_at(proc_.fd(), "self/uid_map"));
  std::set<std::string> maps;
  TRY(for_each_entry(proc_.fd(), [&](const struct dirent& entry) -> Result<void> {
    if (!is_pid(entry.d_name)) return {};
    // A process that has ended meanwhile has no map.
    Result<std::string> map = sys::read_file_at(proc_.fd(), join(entry.d_name, "/uid_map"));
    if (map.ok() && map.value() != own_map) maps.insert(std::move(map).value());
    return {};
  }));
  std::vector<IdRange> ranges;
  for (const std::string& map : maps) {
    for (const IdMapEntry& entry : parse_id_map(map).entries) {
      if (entry.container_first != entry.host_first && entry.count != 0) {
        ranges.push_back({entry.host_first, entry.count});
      }
    }
  }
  std::sort(ranges.begin(), ranges.end(), [](const IdRange& a, const IdRange& b) {
    return std::pair(a.first, a.count) < std::pair(b.first, b.count);
  });
  ranges.erase(std::unique(ranges.begin(), ranges.end()), ranges.end());
  return ranges;
}

}  // namespace sysbox::mgr

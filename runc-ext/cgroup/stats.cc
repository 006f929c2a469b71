#include "runc-ext/cgroup/stats.h"

#include <dirent.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <memory>
#include <sstream>

#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

constexpr const char* kHugepages = "/sys/kernel/mm/hugepages";
constexpr std::string_view kHugepagesPrefix = "hugepages-";

struct DirectoryCloser {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

bool has_any_v1(const CgroupState& state) {
  return std::any_of(state.directories.begin(), state.directories.end(),
                     [](const auto& each) { return !each.first.empty(); });
}

}  // namespace

std::uint64_t parse_count(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::vector<std::string> split_words(std::string_view text) {
  std::istringstream stream{std::string(text)};
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(std::move(word));
  return words;
}

Result<std::uint64_t> read_count(const std::string& path) {
  const std::string text = TRY(sys::read_file(path));
  if (text.starts_with("max")) return std::numeric_limits<std::uint64_t>::max();
  return parse_count(text);
}

Result<std::uint64_t> read_count_if_any(const std::string& path) {
  Result<std::uint64_t> count = read_count(path);
  if (!count && count.error().code() == ENOENT) return std::uint64_t{0};
  return count;
}

Result<std::map<std::string, std::uint64_t>> read_key_values(const std::string& path) {
  std::map<std::string, std::uint64_t> values;
  const Result<std::string> text = sys::read_file(path);
  if (!text && text.error().code() == ENOENT) return values;
  if (!text) return Error(text.error());
  std::istringstream lines(text.value());
  for (std::string line; std::getline(lines, line);) {
    const std::size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    values[line.substr(0, space)] = parse_count(std::string_view(line).substr(space + 1));
  }
  return values;
}

std::vector<std::string> hugepage_sizes() {
  std::vector<std::string> sizes;
  const std::unique_ptr<DIR, DirectoryCloser> directory(::opendir(kHugepages));
  if (directory == nullptr) return sizes;
  while (const dirent* entry = ::readdir(directory.get())) {
    std::string_view name = entry->d_name;  // "hugepages-2048kB"
    if (!name.starts_with(kHugepagesPrefix)) continue;
    name.remove_prefix(kHugepagesPrefix.size());
    std::uint64_t size = parse_count(name);
    const char* const units[] = {"KB", "MB", "GB"};
    std::size_t unit = 0;
    for (; size >= 1024 && unit + 1 < std::size(units); ++unit) size /= 1024;
    sizes.push_back(join(size, units[unit]));
  }
  std::sort(sizes.begin(), sizes.end());
  return sizes;
}

Result<ContainerStats> read_stats(const CgroupState& state) {
  if (has_any_v1(state)) return v1::read_stats(state);
  const auto v2 = state.directories.find("");
  if (v2 == state.directories.end()) return Error(ENOENT, "the container has no cgroup");
  return v2::read_stats(v2->second);
}

}  // namespace sysbox::runc

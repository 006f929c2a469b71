#include "common/id_map_text.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace sysbox {
namespace {

// The next word of `line`, which is cut off it; empty at the end.
std::string_view next_word(std::string_view& line) {
  constexpr std::string_view kBlank = " \t";
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlank));
  line.remove_prefix(word.size());
  return word;
}

bool parse_number(std::string_view word, std::uint32_t& number) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc() && end == word.data() + word.size();
}

}  // namespace

IdMap parse_id_map_text(std::string_view text) {
  IdMap map;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    IdMapEntry entry;
    const std::string_view container_first = next_word(line);
    const std::string_view host_first = next_word(line);
    const std::string_view count = next_word(line);
    if (parse_number(container_first, entry.container_first) &&
        parse_number(host_first, entry.host_first) && parse_number(count, entry.count)) {
      map.entries.push_back(entry);
    }
  }
  return map;
}

}  // namespace sysbox

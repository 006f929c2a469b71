#pragma once

// The kernel's text formats: lines, fields, numbers and lists of cpus.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sysbox::fs {

// Cuts the first line off `rest`, without its newline.
std::string_view next_line(std::string_view& rest);
// Cuts the first field (blanks around it dropped) off `rest`; "" when there is none.
std::string_view next_field(std::string_view& rest);
// The whole text as a decimal number, blanks and newline around it ignored.
std::optional<std::uint64_t> parse_unsigned(std::string_view text);

// "0-3,8" → {0,1,2,3,8}, ascending; what is no list gives an empty one.
std::vector<unsigned> parse_cpu_list(std::string_view text);

}  // namespace sysbox::fs

#include "runc-ext/commands/duration.h"

#include <array>
#include <charconv>
#include <limits>

namespace sysbox::runc {
namespace {

struct Unit {
  std::string_view name;
  double nanoseconds;
};
// The longer names before those that they begin with.
constexpr std::array kUnits = {Unit{"ns", 1},  Unit{"us", 1e3}, Unit{"µs", 1e3},  Unit{"ms", 1e6},
                               Unit{"s", 1e9}, Unit{"m", 60e9}, Unit{"h", 3600e9}};

}  // namespace

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  const Error invalid(EINVAL, join("'", text, "' is no length of time such as 5s or 100ms"));
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest == "0") return std::chrono::nanoseconds(0);
  if (rest.empty()) return invalid;
  double total = 0;
  while (!rest.empty()) {
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789."), rest.size());
    double number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + digits, number);
    if (error != std::errc() || end != rest.data() + digits) return invalid;
    rest.remove_prefix(digits);
    const Unit* unit = nullptr;
    for (const Unit& each : kUnits) {
      if (unit == nullptr && rest.starts_with(each.name)) unit = &each;
    }
    if (unit == nullptr) return invalid;
    rest.remove_prefix(unit->name.size());
    total += number * unit->nanoseconds;
  }
  if (total >= static_cast<double>(std::numeric_limits<std::int64_t>::max())) return invalid;
  const auto count = static_cast<std::int64_t>(total);
  return std::chrono::nanoseconds(negative ? -count : count);
}

}  // namespace sysbox::runc

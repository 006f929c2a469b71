#include <bit>
#include <charconv>
#include <vector>

#include "fs-emulator/sysctl.h"

namespace sysbox::fs {
namespace {

// The kernel looks at one page of what is written (do_proc_dointvec).
constexpr std::size_t kMaxWriteBytes = 4095;
// proc_get_long() copies a number into a buffer of 22 bytes; one that fills it is refused.
constexpr std::size_t kMaxNumberChars = 21;
constexpr std::uint64_t kMinPipeSize = 4096;
constexpr std::uint64_t kMaxPipeSize = 1U << 31U;

struct Number {
  std::uint64_t magnitude = 0;
  bool is_negative = false;
};

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_separator(char c) { return c == ' ' || c == '\t' || c == '\n'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

void skip_spaces(std::string_view& text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
}

Error invalid() { return Error(EINVAL, "not a value of this file"); }

// As proc_get_long(): base by prefix (0x, 0), a minus but no plus, and a separator or the end
// behind it.
Result<Number> take_number(std::string_view& text) {
  Number number;
  std::string_view rest = text.substr(0, kMaxNumberChars);
  if (rest.starts_with('-') && rest.size() > 1) {
    number.is_negative = true;
    rest.remove_prefix(1);
  }
  if (rest.empty() || !is_digit(rest.front())) return invalid();
  int base = 10;
  if (rest.front() == '0') {
    base = 8;
    if (rest.size() > 2 && (rest[1] == 'x' || rest[1] == 'X')) {
      base = 16;
      rest.remove_prefix(2);
    }
  }
  const char* const end = rest.data() + rest.size();
  const auto [stop, error] = std::from_chars(rest.data(), end, number.magnitude, base);
  if (error != std::errc()) return invalid();
  if (stop == text.data() + kMaxNumberChars) return invalid();
  if (stop != end && !is_separator(*stop)) return invalid();
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  return number;
}

bool in_range(const Sysctl& sysctl, std::int64_t value) {
  return value >= sysctl.min && value <= sysctl.max;
}

Result<std::int64_t> as_int(const Sysctl& sysctl, const Number& number) {
  constexpr std::uint64_t kMaxInt = std::numeric_limits<int>::max();
  if (number.magnitude > kMaxInt + (number.is_negative ? 1 : 0)) return invalid();
  const auto magnitude = static_cast<std::int64_t>(number.magnitude);
  const std::int64_t value = number.is_negative ? -magnitude : magnitude;
  if (!in_range(sysctl, value)) return invalid();
  return value;
}

Result<std::int64_t> as_unsigned(const Sysctl& sysctl, const Number& number) {
  constexpr std::uint64_t kMaxUnsigned = std::numeric_limits<std::uint32_t>::max();
  if (number.is_negative || number.magnitude > kMaxUnsigned) return invalid();
  const auto value = static_cast<std::int64_t>(number.magnitude);
  if (!in_range(sysctl, value)) return invalid();
  return value;
}

Result<std::int64_t> as_unsigned_long(const Sysctl& sysctl, const Number& number) {
  constexpr std::uint64_t kMaxLong = std::numeric_limits<std::int64_t>::max();
  if (number.is_negative || number.magnitude > kMaxLong) return invalid();
  const auto value = static_cast<std::int64_t>(number.magnitude);
  if (!in_range(sysctl, value)) return invalid();
  return value;
}

// As round_pipe_size(), which sees 32 bits of it: a power of two, not below a page.
Result<std::int64_t> as_pipe_size(const Number& number) {
  const std::uint64_t magnitude = static_cast<std::uint32_t>(number.magnitude);
  if (number.is_negative || magnitude > kMaxPipeSize) return invalid();
  if (magnitude < kMinPipeSize) return static_cast<std::int64_t>(kMinPipeSize);
  return static_cast<std::int64_t>(std::bit_ceil(magnitude));
}

Result<std::int64_t> as_value(const Sysctl& sysctl, const Number& number) {
  switch (sysctl.format) {
    case SysctlFormat::kInt:
      return as_int(sysctl, number);
    case SysctlFormat::kUnsigned:
      return as_unsigned(sysctl, number);
    case SysctlFormat::kUnsignedLong:
      return as_unsigned_long(sysctl, number);
    case SysctlFormat::kPipeSize:
      return as_pipe_size(number);
    case SysctlFormat::kAnyUnsignedLong:
    case SysctlFormat::kChoice:
    case SysctlFormat::kText:
      break;
  }
  return invalid();
}

Result<std::string> text_of_value(const Sysctl& sysctl, const Number& number) {
  if (sysctl.format != SysctlFormat::kAnyUnsignedLong) {
    return std::to_string(TRY(as_value(sysctl, number)));
  }
  if (number.is_negative || number.magnitude < static_cast<std::uint64_t>(sysctl.min)) {
    return invalid();
  }
  return std::to_string(number.magnitude);
}

std::vector<std::string> fields_of(std::string_view text) {
  std::vector<std::string> fields;
  for (;;) {
    skip_spaces(text);
    if (text.empty()) return fields;
    std::size_t end = 0;
    while (end < text.size() && !is_space(text[end])) ++end;
    fields.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

std::string line_of(const std::vector<std::string>& fields) {
  std::string line;
  for (const std::string& field : fields) {
    if (!line.empty()) line += '\t';
    line += field;
  }
  return line + '\n';
}

std::string parse_text_write(const Sysctl& sysctl, std::string_view written) {
  const std::string_view line =
      written.substr(0, written.find_first_of(std::string_view("\n\0", 2)));
  return join(line.substr(0, static_cast<std::size_t>(sysctl.max)), "\n");
}

// As sysfs_streq(): the word as it is, with or without a newline.
Result<std::string> parse_choice_write(std::string_view current, std::string_view written) {
  if (written.ends_with('\n')) written.remove_suffix(1);
  std::string line;
  bool is_known = false;
  for (const std::string& field : fields_of(current)) {
    const bool was_chosen = field.starts_with('[') && field.ends_with(']');
    const std::string word = was_chosen ? field.substr(1, field.size() - 2) : field;
    if (!line.empty()) line += ' ';
    line += word == written ? join("[", word, "]") : word;
    is_known |= word == written;
  }
  if (!is_known) return invalid();
  return line + "\n";
}

}  // namespace

Result<std::string> parse_sysctl_write(const Sysctl& sysctl, std::string_view current,
                                       std::string_view written) {
  if (sysctl.format == SysctlFormat::kText) return parse_text_write(sysctl, written);
  if (sysctl.format == SysctlFormat::kChoice) return parse_choice_write(current, written);
  written = written.substr(0, kMaxWriteBytes);
  std::vector<std::string> values = fields_of(current);
  values.resize(sysctl.count, "0");
  std::size_t taken = 0;
  // Fewer numbers than there are leave the rest as it is; what follows the last is ignored.
  for (; taken < sysctl.count; ++taken) {
    skip_spaces(written);
    if (written.empty()) break;
    const Number number = TRY(take_number(written));
    values[taken] = TRY(text_of_value(sysctl, number));
  }
  if (taken == 0) return invalid();
  return line_of(values);
}

}  // namespace sysbox::fs

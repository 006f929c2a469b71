#include "runc-ext/cgroup/property_annotations.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

namespace sysbox::runc {
namespace {

constexpr std::string_view kPrefix = "org.systemd.property.";
constexpr std::size_t kMaxText = 4096;
constexpr std::size_t kMaxElements = 256;

// Every property that an annotation may set, sorted. They say how the scope is described, ordered
// against other units, stopped, and what it may use. None runs a program, starts or stops other
// units, opens devices, changes who owns the scope or where it is.
constexpr std::array<std::string_view, 53> kAllowed = {
    "After",
    "AllowedCPUs",
    "AllowedMemoryNodes",
    "Before",
    "BlockIOAccounting",
    "BlockIOWeight",
    "CPUAccounting",
    "CPUQuotaPerSecUSec",
    "CPUQuotaPeriodUSec",
    "CPUShares",
    "CPUWeight",
    "CollectMode",
    "CoredumpReceive",
    "DefaultDependencies",
    "DefaultMemoryLow",
    "DefaultMemoryMin",
    "Description",
    "Documentation",
    "FinalKillSignal",
    "IOAccounting",
    "IOWeight",
    "IPAccounting",
    "KillMode",
    "KillSignal",
    "ManagedOOMMemoryPressure",
    "ManagedOOMMemoryPressureLimit",
    "ManagedOOMPreference",
    "ManagedOOMSwap",
    "MemoryAccounting",
    "MemoryHigh",
    "MemoryLimit",
    "MemoryLow",
    "MemoryMax",
    "MemoryMin",
    "MemoryPressureThresholdUSec",
    "MemoryPressureWatch",
    "MemorySwapMax",
    "MemoryZSwapMax",
    "OOMPolicy",
    "PartOf",
    "RuntimeMaxUSec",
    "RuntimeRandomizedExtraUSec",
    "SendSIGHUP",
    "SendSIGKILL",
    "StartupAllowedCPUs",
    "StartupAllowedMemoryNodes",
    "StartupCPUShares",
    "StartupCPUWeight",
    "StartupIOWeight",
    "TasksAccounting",
    "TasksMax",
    "TimeoutStopUSec",
    "WatchdogSignal",
};
static_assert(std::is_sorted(kAllowed.begin(), kAllowed.end()));

struct NamedType {
  std::string_view word;
  char type;
};
constexpr std::array kNamedTypes = {
    NamedType{"boolean", 'b'}, NamedType{"byte", 'y'},   NamedType{"int16", 'n'},
    NamedType{"uint16", 'q'},  NamedType{"int32", 'i'},  NamedType{"uint32", 'u'},
    NamedType{"int64", 'x'},   NamedType{"uint64", 't'}, NamedType{"double", 'd'},
    NamedType{"string", 's'},
};

struct NumberRange {
  char type;
  std::int64_t min;
  std::uint64_t max;
};
constexpr std::array kNumberRanges = {
    NumberRange{'y', 0, 255},
    NumberRange{'n', -32768, 32767},
    NumberRange{'q', 0, 65535},
    NumberRange{'i', std::numeric_limits<std::int32_t>::min(), 2147483647},
    NumberRange{'u', 0, 4294967295},
    NumberRange{'x', std::numeric_limits<std::int64_t>::min(),
                std::numeric_limits<std::int64_t>::max()},
    NumberRange{'t', 0, std::numeric_limits<std::uint64_t>::max()},
};

const NumberRange* range_of(char type) {
  const auto* found = std::find_if(kNumberRanges.begin(), kNumberRanges.end(),
                                   [type](const NumberRange& each) { return each.type == type; });
  return found == kNumberRanges.end() ? nullptr : &*found;
}

bool is_basic(char type) {
  return range_of(type) != nullptr || std::string_view("bds").find(type) != std::string_view::npos;
}

class VariantParser {
 public:
  explicit VariantParser(std::string_view text) : rest_(text) {}

  Result<UnitProperty> parse() {
    UnitProperty out;
    const std::string wanted = TRY(type_prefix());
    out.signature = wanted;
    skip_spaces();
    const bool array = rest_.starts_with('[');
    if (!wanted.empty() && (wanted[0] == 'a') != array)
      return wrong("the value is of another type");
    char type = wanted.empty() ? '\0' : wanted.back();
    if (array) {
      TRY(parse_array(out.values, type));
      if (type == '\0') return wrong("an empty list needs a type, such as @as []");
      out.signature = join("a", type);
    } else {
      out.values.push_back(TRY(parse_scalar(type)));
      out.signature = std::string(1, type);
    }
    skip_spaces();
    if (!rest_.empty()) return wrong(join("'", rest_, "' follows the value"));
    return out;
  }

 private:
  static Error wrong(const std::string& what) { return {EINVAL, what}; }
  void skip_spaces() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t'))
      rest_.remove_prefix(1);
  }
  // "@as " or "uint64 ", as a signature; empty if the value says its type itself.
  Result<std::string> type_prefix() {
    skip_spaces();
    if (rest_.starts_with('@')) {
      const std::size_t end = std::min(rest_.find_first_of(" \t"), rest_.size());
      std::string signature(rest_.substr(1, end - 1));
      rest_.remove_prefix(end);
      const bool known = !signature.empty() && is_basic(signature.back()) &&
                         (signature.size() == 1 || (signature.size() == 2 && signature[0] == 'a'));
      if (!known) return wrong(join("the type '@", signature, "' is not supported"));
      return signature;
    }
    for (const NamedType& named : kNamedTypes) {
      if (!rest_.starts_with(named.word)) continue;
      const std::string_view after = rest_.substr(named.word.size());
      if (after.empty() || (after.front() != ' ' && after.front() != '\t')) continue;
      rest_ = after;
      return std::string(1, named.type);
    }
    return std::string();
  }

  Result<void> parse_array(std::vector<UnitScalar>& values, char& type) {
    rest_.remove_prefix(1);
    for (;;) {
      skip_spaces();
      if (rest_.starts_with(']') && values.empty()) break;
      if (values.size() == kMaxElements) return wrong(join("more than ", kMaxElements, " values"));
      values.push_back(TRY(parse_scalar(type)));
      skip_spaces();
      if (rest_.starts_with(']')) break;
      if (!rest_.starts_with(',')) return wrong("expected , or ] in the list");
      rest_.remove_prefix(1);
    }
    rest_.remove_prefix(1);
    return {};
  }

  // `type` is what the value must be, or 0: then it is set to what the value is.
  Result<UnitScalar> parse_scalar(char& type) {
    if (rest_.starts_with('\'') || rest_.starts_with('"')) {
      std::string text = TRY(parse_string());
      TRY(expect(type, 's'));
      return UnitScalar(std::move(text));
    }
    const std::size_t end = std::min(rest_.find_first_of(" \t,]"), rest_.size());
    const std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(end);
    if (word.empty()) return wrong("the value is missing");
    if (word == "true" || word == "false") {
      TRY(expect(type, 'b'));
      return UnitScalar(word == "true");
    }
    return parse_number(word, type);
  }

  Result<void> expect(char& type, char found) const {
    if (type == '\0') type = found;
    if (type != found)
      return wrong(join("a value of type '", found, "' where '", type, "' is expected"));
    return {};
  }

  static Result<UnitScalar> parse_number(std::string_view word, char& type) {
    const Error no_number(EINVAL,
                          join("'", word, "' is neither true, false, a number nor a quoted text"));
    if (type == '\0') type = word.find_first_of(".eE") == std::string_view::npos ? 'i' : 'd';
    const char* const end = word.data() + word.size();
    if (type == 'd') {
      double number = 0;
      const auto parsed = std::from_chars(word.data(), end, number);
      if (parsed.ec != std::errc() || parsed.ptr != end || !std::isfinite(number)) return no_number;
      return UnitScalar(number);
    }
    const NumberRange* range = range_of(type);
    if (range == nullptr) return wrong(join("a value of type '", type, "' is expected"));
    const Error out_of_range(EINVAL,
                             join("'", word, "' is not between ", range->min, " and ", range->max));
    if (range->min < 0) {
      std::int64_t number = 0;
      const auto parsed = std::from_chars(word.data(), end, number);
      if (parsed.ec == std::errc::result_out_of_range) return out_of_range;
      if (parsed.ec != std::errc() || parsed.ptr != end) return no_number;
      if (number < range->min || number > static_cast<std::int64_t>(range->max))
        return out_of_range;
      return UnitScalar(number);
    }
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(word.data(), end, number);
    if (parsed.ec == std::errc::result_out_of_range || word.starts_with('-')) return out_of_range;
    if (parsed.ec != std::errc() || parsed.ptr != end) return no_number;
    if (number > range->max) return out_of_range;
    return UnitScalar(number);
  }

  Result<std::string> parse_string() {
    const char quote = rest_.front();
    std::string text;
    for (std::size_t i = 1; i < rest_.size(); ++i) {
      char c = rest_[i];
      if (c == quote) {
        rest_.remove_prefix(i + 1);
        return text;
      }
      if (c == '\\') {
        if (++i == rest_.size()) break;
        c = rest_[i];
        if (c != '\\' && c != '\'' && c != '"') {
          return wrong(join("the escape '\\", c, "' is not supported"));
        }
      }
      // Bytes past ASCII would have to be checked to be UTF-8, or the bus ends the connection.
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) {
        return wrong("the text holds other than printable ASCII characters");
      }
      text += c;
    }
    return wrong("the text has no closing quote");
  }

  std::string_view rest_;
};

// "TimeoutStopSec" is what unit files call it; on the bus it is "TimeoutStopUSec".
Result<void> seconds_to_microseconds(UnitProperty& property) {
  const std::string& name = property.name;
  if (!name.ends_with("Sec") || name.size() < 4) return {};
  const char before = name[name.size() - 4];
  if (before < 'a' || before > 'z') return {};
  constexpr std::uint64_t kMillion = 1000000;
  const Error out_of_range(EINVAL, "is not a number of seconds");
  if (property.values.size() != 1 || property.signature.size() != 1) return out_of_range;
  std::uint64_t microseconds = 0;
  if (const auto* real = std::get_if<double>(&property.values[0])) {
    if (*real < 0 || *real > 1e12) return out_of_range;
    microseconds = static_cast<std::uint64_t>(*real * static_cast<double>(kMillion));
  } else {
    std::uint64_t seconds = 0;
    if (const auto* number = std::get_if<std::uint64_t>(&property.values[0])) {
      seconds = *number;
    } else if (const auto* number_or_less = std::get_if<std::int64_t>(&property.values[0])) {
      if (*number_or_less < 0) return out_of_range;
      seconds = static_cast<std::uint64_t>(*number_or_less);
    } else {
      return out_of_range;
    }
    if (seconds > std::numeric_limits<std::uint64_t>::max() / kMillion) return out_of_range;
    microseconds = seconds * kMillion;
  }
  property = unit_property(name.substr(0, name.size() - 3) + "USec", microseconds);
  return {};
}

Result<UnitProperty> parse_one(const std::string& name, const std::string& text) {
  if (text.size() > kMaxText) return Error(EINVAL, "the value is too long");
  UnitProperty property = TRY(parse_variant_text(text));
  property.name = name;
  TRY(seconds_to_microseconds(property));
  if (!std::binary_search(kAllowed.begin(), kAllowed.end(), property.name)) {
    return Error(EPERM, "this property of a container's scope cannot be set by an annotation");
  }
  return property;
}

}  // namespace

Result<UnitProperty> parse_variant_text(std::string_view text) {
  return VariantParser(text).parse();
}

Result<std::vector<UnitProperty>> parse_property_annotations(
    const std::map<std::string, std::string>& annotations) {
  std::vector<UnitProperty> properties;
  for (const auto& [key, value] : annotations) {
    if (!key.starts_with(kPrefix)) continue;
    properties.push_back(
        TRY(parse_one(key.substr(kPrefix.size()), value).in(join("annotations.", key))));
  }
  return properties;
}

}  // namespace sysbox::runc

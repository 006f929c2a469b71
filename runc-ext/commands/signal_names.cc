#include "runc-ext/commands/signal_names.h"

#include <signal.h>

#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

namespace sysbox::runc {
namespace {

std::optional<int> parse_number(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), number);
  if (error != std::errc{} || end != text.end()) return std::nullopt;
  return number;
}

// "RTMIN", "RTMIN+3", "RTMAX-1".
std::optional<int> find_real_time(std::string_view name) {
  const bool from_min = name.starts_with("RTMIN");
  if (!from_min && !name.starts_with("RTMAX")) return std::nullopt;
  const int base = from_min ? SIGRTMIN : SIGRTMAX;
  name.remove_prefix(5);
  if (name.empty()) return base;
  if (name.front() != (from_min ? '+' : '-')) return std::nullopt;
  const std::optional<int> offset = parse_number(name.substr(1));
  if (!offset || *offset < 0) return std::nullopt;
  const int signal = from_min ? base + *offset : base - *offset;
  if (signal < SIGRTMIN || signal > SIGRTMAX) return std::nullopt;
  return signal;
}

std::optional<int> find_by_name(std::string_view name) {
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (int signal = 1; signal < SIGRTMIN; ++signal) {
    const char* known = ::sigabbrev_np(signal);
    if (known != nullptr && name == known) return signal;
  }
  // Names of old that the C library does not list.
  if (name == "IOT") return SIGABRT;
  if (name == "CLD") return SIGCHLD;
  if (name == "IO") return SIGIO;
  return find_real_time(name);
}

std::string in_capitals(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

}  // namespace

Result<int> parse_signal(const std::string& text) {
  std::optional<int> signal = parse_number(text);
  if (!signal) signal = find_by_name(in_capitals(text));
  if (!signal || *signal < 0 || *signal >= NSIG) {
    return Error(EINVAL, join("unknown signal '", text, "'"));
  }
  return *signal;
}

}  // namespace sysbox::runc

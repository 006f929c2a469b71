#include "runc-ext/container/listen_fds.h"

#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "common/result.h"

namespace sysbox::runc {
namespace {

std::optional<int> number_in_environment(const char* name) {
  const char* text = ::getenv(name);
  if (text == nullptr) return std::nullopt;
  const std::string_view digits(text);
  int number = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), number);
  if (error != std::errc{} || end != digits.end() || number <= 0) return std::nullopt;
  return number;
}

}  // namespace

ListenFds find_listen_fds() {
  const std::optional<int> count = number_in_environment("LISTEN_FDS");
  if (!count || number_in_environment("LISTEN_PID") != ::getpid()) return {};
  ListenFds found;
  found.count = *count;
  found.env = {join("LISTEN_FDS=", *count), "LISTEN_PID=1"};
  if (const char* names = ::getenv("LISTEN_FDNAMES")) {
    found.env.push_back(join("LISTEN_FDNAMES=", names));
  }
  return found;
}

}  // namespace sysbox::runc

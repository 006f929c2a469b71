#include "common/log.h"

#include <array>
#include <atomic>
#include <ctime>
#include <nlohmann/json.hpp>

namespace sysbox::log {
namespace {

std::atomic<Level> g_level{Level::kInfo};
std::atomic<Format> g_format{Format::kText};
std::atomic<int> g_output{STDERR_FILENO};
thread_local const std::string* t_container = nullptr;

struct LevelName {
  Level level;
  std::string_view name;
  std::string_view priority;  // sd-daemon(3), the numbers of syslog(3)
};
constexpr std::array kLevels = {
    LevelName{Level::kError, "error", "<3>"},
    LevelName{Level::kWarning, "warning", "<4>"},
    LevelName{Level::kInfo, "info", "<6>"},
    LevelName{Level::kDebug, "debug", "<7>"},
};
const LevelName& entry(Level level) { return kLevels[static_cast<std::size_t>(level)]; }

std::string rfc3339(std::int64_t time) {
  const std::time_t seconds = time;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

std::string without_control_bytes(std::string_view text) {
  std::string clean(text);
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return clean;
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

std::optional<Level> parse_level(std::string_view name) {
  for (const LevelName& level : kLevels) {
    if (level.name == name) return level.level;
  }
  return std::nullopt;
}

void set_level(Level level) { g_level = level; }
void set_format(Format format) { g_format = format; }
void set_output(UniqueFd fd) {
  const int old = g_output.exchange(fd.release());
  if (old != STDERR_FILENO) ::close(old);
}
void reset_output() {
  const int old = g_output.exchange(STDERR_FILENO);
  if (old != STDERR_FILENO) ::close(old);
}
int output_fd() { return g_output; }
bool writes_to_stderr() { return g_output == STDERR_FILENO; }
bool enabled(Level level) { return level <= g_level; }

std::string format_line(Format format, Level level, std::string_view container,
                        std::string_view message, std::int64_t time) {
  const std::string clean = without_control_bytes(message);
  switch (format) {
    case Format::kJson: {
      nlohmann::json line = {{"level", entry(level).name}, {"msg", clean}, {"time", rfc3339(time)}};
      if (!container.empty()) line["container"] = container;
      return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    }
    case Format::kJournal:
      return join(entry(level).priority, container.empty() ? "" : join("[", container, "] "),
                  clean);
    case Format::kText:
      break;
  }
  return join("time=\"", rfc3339(time), "\" level=", entry(level).name, " msg=", in_quotes(clean),
              container.empty() ? "" : join(" container=", container));
}

void write(Level level, std::string_view message) {
  if (!enabled(level)) return;
  const std::string line = format_line(g_format, level, t_container != nullptr ? *t_container : "",
                                       message, std::time(nullptr)) +
                           "\n";
  // Nothing sensible can be done about a log that cannot be written.
  [[maybe_unused]] const ssize_t written = ::write(g_output, line.data(), line.size());
}

ContainerScope::ContainerScope(std::string_view id) : id_(id), outer_(t_container) {
  t_container = &id_;
}
ContainerScope::~ContainerScope() { t_container = outer_; }

}  // namespace sysbox::log

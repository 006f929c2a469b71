#pragma once

// Log lines of all programs: one line is one write(2), so lines of several threads and
// processes never mix. Text from outside is stripped of control bytes.

#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox::log {

enum class Level { kError, kWarning, kInfo, kDebug };
enum class Format {
  kText,     // runc's: time="…" level=error msg="…"
  kJson,     // runc's: {"level":"error","msg":"…","time":"…"}; engines parse it
  kJournal,  // "<3>message", the priority prefix of sd-daemon(3)
};

std::optional<Level> parse_level(std::string_view name);  // debug info warning error

// Where and how lines go; the default is text on standard error at level info.
void set_level(Level level);
void set_format(Format format);
void set_output(UniqueFd fd);
// Closes what set_output() took; lines go to standard error again.
void reset_output();
// True until set_output() was called.
bool writes_to_stderr();
// For a process that closes all descriptors but those it knows.
int output_fd();

void write(Level level, std::string_view message);
bool enabled(Level level);

template <typename... Parts>
void error(const Parts&... parts) {
  write(Level::kError, join(parts...));
}
template <typename... Parts>
void warning(const Parts&... parts) {
  write(Level::kWarning, join(parts...));
}
template <typename... Parts>
void info(const Parts&... parts) {
  if (enabled(Level::kInfo)) write(Level::kInfo, join(parts...));
}
template <typename... Parts>
void debug(const Parts&... parts) {
  if (enabled(Level::kDebug)) write(Level::kDebug, join(parts...));
}

// Names the container that the calling thread works for: each line that the thread writes
// while the scope lives carries the id. Scopes nest.
class ContainerScope {
 public:
  explicit ContainerScope(std::string_view id);
  ~ContainerScope();
  ContainerScope(const ContainerScope&) = delete;
  ContainerScope& operator=(const ContainerScope&) = delete;

 private:
  std::string id_;
  const std::string* outer_;
};

// One line without its newline, as write() prints it. `time` is seconds since the epoch.
std::string format_line(Format format, Level level, std::string_view container,
                        std::string_view message, std::int64_t time);

}  // namespace sysbox::log

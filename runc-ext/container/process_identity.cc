#include "runc-ext/container/process_identity.h"

#include <charconv>
#include <string>
#include <string_view>

#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

struct ProcessStat {
  char state = 'X';
  std::uint64_t start_time = 0;
};

Result<ProcessStat> read_stat(pid_t pid) {
  const std::string text = TRY(sys::read_file(join("/proc/", pid, "/stat")));
  // The name in parentheses may hold anything; what follows the last one has fixed fields.
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= text.size()) {
    return Error(EINVAL, join("/proc/", pid, "/stat is not understood"));
  }
  std::string_view rest = std::string_view(text).substr(name_end + 2);
  ProcessStat stat;
  stat.state = rest[0];
  constexpr int kFieldsToSkip = 19;  // from field 3 (state) to field 22
  for (int i = 0; i < kFieldsToSkip; ++i) {
    rest.remove_prefix(std::min(rest.size(), rest.find(' ') + 1));
  }
  std::from_chars(rest.data(), rest.data() + rest.size(), stat.start_time);
  return stat;
}

}  // namespace

Result<std::uint64_t> process_start_time(pid_t pid) { return TRY(read_stat(pid)).start_time; }

std::optional<UniqueFd> open_if_alive(pid_t pid, std::uint64_t start_time) {
  if (pid <= 0) return std::nullopt;
  // The pidfd first: what is read afterwards is of that process or of none.
  Result<UniqueFd> pidfd = sys::pidfd_open(pid);
  if (!pidfd.ok()) return std::nullopt;
  const Result<ProcessStat> stat = read_stat(pid);
  if (!stat.ok() || stat.value().start_time != start_time) return std::nullopt;
  if (stat.value().state == 'Z' || stat.value().state == 'X') return std::nullopt;
  return std::move(pidfd).value();
}

}  // namespace sysbox::runc

#include "runc-ext/container/process_identity.h"

#include <string>

#include "common/process_status.h"
#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

Result<ProcessStat> read_stat(pid_t pid) {
  return parse_process_stat(TRY(sys::read_file(join("/proc/", pid, "/stat"))));
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

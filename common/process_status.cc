#include "common/process_status.h"

#include <algorithm>
#include <charconv>

namespace sysbox {
namespace {

std::string_view next_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return line;
}

template <typename Number>
std::vector<Number> numbers(std::string_view text, int base = 10) {
  std::vector<Number> found;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  while (at < end) {
    if (*at == ' ' || *at == '\t') {
      ++at;
      continue;
    }
    Number number{};
    const auto [next, error] = std::from_chars(at, end, number, base);
    if (error != std::errc()) break;
    found.push_back(number);
    at = next;
  }
  return found;
}

}  // namespace

Result<ProcessStatus> parse_process_status(std::string_view text) {
  ProcessStatus status;
  bool has_uids = false;
  bool has_gids = false;
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = line.substr(colon + 1);
    if (name == "Tgid") {
      const auto ids = numbers<pid_t>(value);
      if (!ids.empty()) status.thread_group = ids[0];
    } else if (name == "Uid" || name == "Gid") {
      const auto ids = numbers<std::uint32_t>(value);
      if (ids.size() != 4) return Error(EINVAL, join("process status: bad line '", line, "'"));
      const bool is_uid = name == "Uid";
      (is_uid ? status.uid : status.gid) = ids[0];
      (is_uid ? status.effective_uid : status.effective_gid) = ids[1];
      (is_uid ? status.filesystem_uid : status.filesystem_gid) = ids[3];
      (is_uid ? has_uids : has_gids) = true;
    } else if (name == "Groups") {
      status.groups = numbers<std::uint32_t>(value);
    } else if (name == "CapEff") {
      const auto sets = numbers<std::uint64_t>(value, 16);
      if (!sets.empty()) status.effective_capabilities = sets[0];
    } else if (name == "NSpid") {
      status.pids_in_namespaces = numbers<pid_t>(value);
    } else if (name == "NStgid") {
      status.thread_groups_in_namespaces = numbers<pid_t>(value);
    }
  }
  if (!has_uids || !has_gids) return Error(EINVAL, "process status: no Uid or Gid line");
  return status;
}

Result<ProcessStat> parse_process_stat(std::string_view text) {
  // The name in parentheses may hold anything; what follows the last one has fixed fields.
  const std::size_t name_end = text.rfind(')');
  constexpr int kFieldsToSkip = 19;  // from field 3 (state) to field 22
  std::string_view rest = text.substr(std::min(name_end, text.size()));
  rest.remove_prefix(std::min<std::size_t>(rest.size(), 2));
  ProcessStat stat;
  if (!rest.empty()) stat.state = rest[0];
  for (int i = 0; i < kFieldsToSkip && !rest.empty(); ++i) {
    const std::size_t blank = rest.find(' ');
    rest = blank == std::string_view::npos ? std::string_view() : rest.substr(blank + 1);
  }
  const auto [end, error] =
      std::from_chars(rest.data(), rest.data() + rest.size(), stat.start_time);
  if (error != std::errc()) return Error(EINVAL, join("process stat: bad line '", text, "'"));
  return stat;
}

Result<CgroupMembership> parse_cgroup_membership(std::string_view text) {
  CgroupMembership membership;
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) {
      return Error(EINVAL, join("process cgroups: bad line '", line, "'"));
    }
    membership.emplace(line.substr(first + 1, second - first - 1), line.substr(second + 1));
  }
  return membership;
}

}  // namespace sysbox

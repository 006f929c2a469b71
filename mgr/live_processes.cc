#include "mgr/live_processes.h"

#include <linux/nsfs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <set>
#include <string>

#include "common/directory_entries.h"
#include "common/id_map_text.h"
#include "common/process_status.h"

namespace sysbox::mgr {
namespace {

// Lines that map ids onto themselves are none of a container.
bool maps_some_of(std::string_view map, const IdRange& ids) {
  const IdMap parsed = parse_id_map_text(map);
  return std::any_of(parsed.entries.begin(), parsed.entries.end(), [&ids](const IdMapEntry& entry) {
    return entry.container_first != entry.host_first &&
           IdRange{entry.host_first, entry.count}.overlaps(ids);
  });
}

bool is_zombie(std::string_view stat_line) {
  const Result<ProcessStat> stat = parse_process_stat(stat_line);
  return stat.ok() && stat.value().state == 'Z';
}

// The user namespace itself, or one of those that it lies in.
bool is_or_is_below(UniqueFd space, std::uint64_t inode) {
  while (space.valid()) {
    const Result<struct stat> info = sys::fstat(space.get());
    if (!info.ok()) return false;
    if (info.value().st_ino == inode) return true;
    space.reset(::ioctl(space.get(), NS_GET_PARENT));  // fails where ours is reached
  }
  return false;
}

bool is_pid(std::string_view name) {
  return !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

Result<LiveProcesses> LiveProcesses::open(const std::string& proc_path) {
  return LiveProcesses(TRY(RootDir::open(proc_path)));
}

std::optional<ProcessIdentity> LiveProcesses::identify(std::int32_t pid) const {
  if (pid <= 0) return std::nullopt;
  const Result<std::string> stat = sys::read_file_at(proc_.fd(), join(pid, "/stat"));
  if (!stat.ok()) return std::nullopt;
  const Result<ProcessStat> parsed = parse_process_stat(stat.value());
  if (!parsed.ok()) return std::nullopt;
  return ProcessIdentity{pid, parsed.value().start_time};
}

Result<std::vector<IdRange>> LiveProcesses::mapped_uids() const {
  const std::string own_map = TRY(sys::read_file_at(proc_.fd(), "self/uid_map"));
  std::set<std::string> maps;
  TRY(for_each_entry(proc_.fd(), [&](const struct dirent& entry) -> Result<void> {
    if (!is_pid(entry.d_name)) return {};
    // A process that has ended meanwhile has no map.
    Result<std::string> map = sys::read_file_at(proc_.fd(), join(entry.d_name, "/uid_map"));
    if (map.ok() && map.value() != own_map) maps.insert(std::move(map).value());
    return {};
  }));
  std::vector<IdRange> ranges;
  for (const std::string& map : maps) {
    for (const IdMapEntry& entry : parse_id_map_text(map).entries) {
      if (entry.container_first != entry.host_first && entry.count != 0) {
        ranges.push_back({entry.host_first, entry.count});
      }
    }
  }
  std::sort(ranges.begin(), ranges.end(), [](const IdRange& a, const IdRange& b) {
    return std::pair(a.first, a.count) < std::pair(b.first, b.count);
  });
  ranges.erase(std::unique(ranges.begin(), ranges.end()), ranges.end());
  return ranges;
}

Result<LiveProcesses::IdUsers> LiveProcesses::users_of(const IdRange& uids, const IdRange& gids,
                                                       std::uint64_t user_namespace) const {
  IdUsers users;
  TRY(for_each_entry(proc_.fd(), [&](const struct dirent& entry) -> Result<void> {
    if (!is_pid(entry.d_name)) return {};
    const std::string pid = entry.d_name;
    const std::string uid_map = sys::read_file_at(proc_.fd(), pid + "/uid_map").value_or("");
    const std::string gid_map = sys::read_file_at(proc_.fd(), pid + "/gid_map").value_or("");
    if (!maps_some_of(uid_map, uids) && !maps_some_of(gid_map, gids)) return {};
    if (is_zombie(sys::read_file_at(proc_.fd(), pid + "/stat").value_or(""))) return {};
    Result<UniqueFd> space = sys::openat(proc_.fd(), pid + "/ns/user", O_RDONLY);
    if (!space.ok()) return {};  // it has ended meanwhile
    if (is_or_is_below(std::move(space).value(), user_namespace)) {
      users.inside = true;
    } else {
      users.outside = pid;
    }
    return {};
  }));
  return users;
}

}  // namespace sysbox::mgr

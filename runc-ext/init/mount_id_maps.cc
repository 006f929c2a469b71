#include "runc-ext/init/mount_id_maps.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGCHLD
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

// The part of the entry's host ids that is within the line of the container's map, translated.
void translate(const IdMapEntry& entry, const IdMapEntry& line, IdMap& out) {
  const IdRange wanted{entry.host_first, entry.count};
  const IdRange there{line.container_first, line.count};
  const std::uint64_t first = std::max(wanted.first, there.first);
  const std::uint64_t end = std::min(wanted.end(), there.end());
  if (first >= end) return;
  const auto start = static_cast<std::uint32_t>(first);
  out.entries.push_back({entry.container_first + (start - wanted.first),
                         line.host_first + (start - there.first),
                         static_cast<std::uint32_t>(end - first)});
}

Result<IdMap> translated(const IdMap& given, const IdMap& container, std::string_view name) {
  IdMap out;
  for (const IdMapEntry& entry : given.entries) {
    for (const IdMapEntry& line : container.entries) translate(entry, line, out);
  }
  if (!out.entries.empty()) return out;
  return Error(EINVAL, join(name, ": maps onto no id that the container has"));
}

Result<UniqueFd> namespace_of(pid_t pid, const MountIdMaps& maps) {
  const std::string proc = join("/proc/", pid, "/");
  TRY(sys::write_file(proc + "uid_map", maps.uids.text()).in("uidMappings"));
  TRY(sys::write_file(proc + "gid_map", maps.gids.text()).in("gidMappings"));
  return sys::open(proc + "ns/user", O_RDONLY);
}

}  // namespace

Result<MountIdMaps> mount_id_maps(const OciMount& mount, const OciLinux& linux_part) {
  MountIdMaps maps{*mount.uid_map, *mount.gid_map};
  if (linux_part.engine_knows_ids) return maps;
  maps.uids = TRY(translated(maps.uids, linux_part.uid_mappings, "uidMappings"));
  maps.gids = TRY(translated(maps.gids, linux_part.gid_mappings, "gidMappings"));
  return maps;
}

Result<UniqueFd> make_user_namespace(const MountIdMaps& maps) {
  // The child lives until the pipe's other end is closed; closing it is all we have to do.
  auto [read_end, write_end] = TRY(sys::pipe());
  struct clone_args args {};
  args.flags = CLONE_NEWUSER;
  args.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
  if (pid < 0) return last_error("clone into a user namespace");
  if (pid == 0) {
    write_end.reset();
    char byte = 0;
    static_cast<void>(::read(read_end.get(), &byte, 1));
    ::_exit(0);
  }
  Result<UniqueFd> made = namespace_of(pid, maps);
  write_end.reset();
  ::waitpid(pid, nullptr, 0);
  return made;
}

}  // namespace sysbox::runc

#include "runc-ext/init/sysctls.h"

#include <linux/magic.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <string_view>

#include "common/syscalls.h"
#include "runc-ext/init/foreign_namespaces.h"

namespace sysbox::runc {
namespace {

// Of the ipc namespace (ipc_namespaces(7)); net/ and fs/mqueue/ are namespaces' own as a whole.
constexpr std::array<std::string_view, 8> kIpcSettings = {
    "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem",
    "kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced"};

bool is_namespaced(std::string_view path) {
  return path.starts_with("net/") || path.starts_with("fs/mqueue/") ||
         std::find(kIpcSettings.begin(), kIpcSettings.end(), path) != kIpcSettings.end();
}

// Docker allows ping to all groups there are, "0 2147483647"; the kernel refuses groups that are
// not mapped, so the range ends with the last one that is.
std::string within_mapped_groups(const std::string& value, const IdMap& groups) {
  std::istringstream words(value);
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  const std::optional<IdRange> mapped = groups.as_single_range();
  if (!(words >> first >> last) || !mapped || last < mapped->count) return value;
  return join(first, " ", mapped->count - 1);
}

// The file is a kernel's or an emulated one, never a place that a bundle or image led us to: below
// our own locked procfs, by descriptor, through no link (CVE-2025-52881).
Result<UniqueFd> open_setting(int sysctls_fd, const std::string& path) {
  UniqueFd file =
      TRY(sys::openat2(sysctls_fd, path, O_WRONLY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS));
  const bool is_emulated = TRY(sys::fstatfs_type(file.get())) == FUSE_SUPER_MAGIC;
  if (is_emulated || is_namespaced(path)) return file;
  return Error(EPERM, "is not in a separate kernel namespace");
}

Result<void> set_sysctl(int sysctls_fd, const std::string& path, const std::string& value,
                        const IdMap& groups) {
  // The file is the host's root's to write, the call is for the namespace's root.
  if (path == "kernel/domainname") {
    if (::setdomainname(value.c_str(), value.size()) != 0) return last_error("setdomainname");
    return {};
  }
  Result<UniqueFd> opened = open_setting(sysctls_fd, path);
  if (!opened.ok() && opened.error().code() == EACCES && !is_namespaced(path)) {
    return Error(EPERM, "is not in a separate kernel namespace");
  }
  const UniqueFd file = TRY(std::move(opened));
  const bool is_groups = path == "net/ipv4/ping_group_range";
  return sys::write_all(file.get(), is_groups ? within_mapped_groups(value, groups) : value);
}

}  // namespace

Result<void> set_sysctls(const BirthPlan& plan, UniqueFd writable) {
  const OciLinux& linux_part = plan.spec.linux_part;
  if (linux_part.sysctl.empty()) return {};
  const UniqueFd sysctls = writable
                               ? std::move(writable)
                               : TRY(sys::open("/proc/sys", O_PATH | O_DIRECTORY | O_NOFOLLOW));
  if (TRY(sys::fstatfs_type(sysctls.get())) != PROC_SUPER_MAGIC) {
    return Error(EINVAL, "linux.sysctl: /proc is not a procfs");
  }
  for (const auto& [path, value] : linux_part.sysctl) {
    if (is_foreign_sysctl(plan, path)) continue;  // the helper has set it
    std::string name = path;
    std::replace(name.begin(), name.end(), '/', '.');
    TRY(set_sysctl(sysctls.get(), path, value, linux_part.gid_mappings)
            .in(join("linux.sysctl: sysctl \"", name, "\"=\"", value, "\"")));
  }
  return {};
}

}  // namespace sysbox::runc

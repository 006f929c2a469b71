#include "runc-ext/init/process_attributes.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "common/log.h"
#include "common/root_dir.h"
#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

// RLIMIT_LOCKS limits nothing since Linux 2.4.25. By a lowered hard limit sysbox-fs knows the
// programs that have restricted themselves (seccomp-notify/handlers/landlock.cc), so none begins
// with one.
void lift_lock_limit(pid_t pid) {
  struct rlimit limit {};
  if (::prlimit(pid, RLIMIT_LOCKS, nullptr, &limit) != 0 || limit.rlim_max == RLIM_INFINITY) return;
  limit.rlim_max = RLIM_INFINITY;
  if (::prlimit(pid, RLIMIT_LOCKS, &limit, nullptr) != 0) {
    log::warning("RLIMIT_LOCKS: the hard limit may not be raised (no CAP_SYS_RESOURCE), no procfs ",
                 "or sysfs can be mounted in the container");
  }
}

Result<void> apply_rlimit(pid_t pid, const OciRlimit& limit) {
  struct rlimit wanted {
    limit.soft, limit.resource == RLIMIT_LOCKS ? RLIM_INFINITY : limit.hard
  };
  const auto which = static_cast<__rlimit_resource>(limit.resource);
  if (::prlimit(pid, which, &wanted, nullptr) == 0) return {};
  if (errno != EPERM) return last_error("set ", limit.name);
  struct rlimit current {};
  if (::prlimit(pid, which, nullptr, &current) != 0) return last_error("read ", limit.name);
  wanted.rlim_max = std::min(wanted.rlim_max, current.rlim_max);
  wanted.rlim_cur = std::min(wanted.rlim_cur, wanted.rlim_max);
  if (::prlimit(pid, which, &wanted, nullptr) != 0) return last_error("set ", limit.name);
  log::warning(limit.name, ": the hard limit may not be raised to ", limit.hard,
               " (no CAP_SYS_RESOURCE), using ", wanted.rlim_max);
  return {};
}

// The 64 bits of a set as the two words of capset(2).
using CapabilityWords = std::array<struct __user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

std::uint32_t word(std::uint64_t set, std::size_t index) {
  return static_cast<std::uint32_t>(set >> (32U * index));
}

}  // namespace

Result<void> apply_rlimits(pid_t pid, const std::vector<OciRlimit>& rlimits) {
  lift_lock_limit(pid);
  for (const OciRlimit& limit : rlimits) TRY(apply_rlimit(pid, limit));
  return {};
}

Result<void> become_container_root() {
  if (::setgroups(0, nullptr) != 0) return last_error("setgroups");
  if (::setresgid(0, 0, 0) != 0) return last_error("setgid 0");
  if (::setresuid(0, 0, 0) != 0) return last_error("setuid 0");
  return {};
}

Result<void> join_session_keyring(const std::string& container_id) {
  const std::string name = "_ses." + container_id;
  // EOPNOTSUPP/ENOSYS: a kernel without keyrings has nothing to isolate.
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.c_str(), 0, 0, 0) < 0 &&
      errno != ENOSYS && errno != EOPNOTSUPP) {
    return last_error("join session keyring '", name, "'");
  }
  return {};
}

Result<void> enter_working_directory(const std::string& cwd) {
  const RootDir root = TRY(RootDir::open("/"));
  const UniqueFd directory = TRY(root.make_directories(cwd).in("process.cwd"));
  TRY(sys::fchdir(directory.get()).in(join("process.cwd '", cwd, "'")));
  std::array<char, 4096> path{};
  const long length = ::syscall(SYS_getcwd, path.data(), path.size());
  // The kernel says "(unreachable)/…" for a directory outside the root.
  if (length < 0 || path[0] != '/') {
    return Error(ENOENT, join("process.cwd '", cwd, "' is not inside the container's root"));
  }
  return {};
}

Result<void> take_user(const OciUser& user) {
  ::umask(user.umask.value_or(0022));
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return last_error("keep capabilities");
  std::vector<gid_t> groups(user.additional_gids.begin(), user.additional_gids.end());
  if (::setgroups(groups.size(), groups.data()) != 0) return last_error("setgroups");
  if (::setresgid(user.gid, user.gid, user.gid) != 0) return last_error("setgid ", user.gid);
  if (::setresuid(user.uid, user.uid, user.uid) != 0) return last_error("setuid ", user.uid);
  if (::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) return last_error("keep capabilities");
  return {};
}

Result<void> drop_bounding_capabilities(const OciCapabilities& capabilities) {
  const int count = kernel_capability_count();
  for (int i = 0; i < count; ++i) {
    if ((capabilities.bounding >> static_cast<unsigned>(i) & 1U) != 0) continue;
    if (::prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0) return last_error("drop capability ", i);
  }
  return {};
}

Result<void> take_capabilities(const OciCapabilities& capabilities) {
  struct __user_cap_header_struct header {
    _LINUX_CAPABILITY_VERSION_3, 0
  };
  const std::uint64_t known =
      (std::uint64_t{1} << static_cast<unsigned>(kernel_capability_count())) - 1;
  CapabilityWords words{};
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i].effective = word(capabilities.effective & known, i);
    words[i].permitted = word(capabilities.permitted & known, i);
    words[i].inheritable = word(capabilities.inheritable & known, i);
  }
  if (::syscall(SYS_capset, &header, words.data()) != 0) {
    return last_error("process.capabilities: set them");  // say, inheritable but not in bounding
  }
  for (int i = 0; i < kernel_capability_count(); ++i) {
    if ((capabilities.ambient >> static_cast<unsigned>(i) & 1U) == 0) continue;
    // Needs the capability in the permitted and inheritable sets; runc warns alike.
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) != 0) {
      log::warning("can't raise ambient capability ", capability_name(i), ": ", errno_text(errno),
                   " (it is not permitted or not inheritable), ignoring");
    }
  }
  return {};
}

}  // namespace sysbox::runc

#include "runc-ext/init/filesystem_identity.h"

#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace sysbox::runc {

Result<void> raise_effective_capabilities() {
  struct __user_cap_header_struct header {
    _LINUX_CAPABILITY_VERSION_3, 0
  };
  std::array<struct __user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return last_error("capget");
  for (auto& set : sets) set.effective = set.permitted;
  if (::syscall(SYS_capset, &header, sets.data()) != 0) return last_error("capset");
  return {};
}

Result<FilesystemIdentity> FilesystemIdentity::assume(uid_t uid, gid_t gid) {
  FilesystemIdentity identity;
  ::setfsgid(gid);
  ::setfsuid(uid);
  TRY(raise_effective_capabilities());
  return identity;
}

FilesystemIdentity::FilesystemIdentity(FilesystemIdentity&& other) noexcept
    : active_(other.active_) {
  other.active_ = false;
}

FilesystemIdentity::~FilesystemIdentity() {
  if (!active_) return;
  ::setfsuid(::geteuid());
  ::setfsgid(::getegid());
}

}  // namespace sysbox::runc

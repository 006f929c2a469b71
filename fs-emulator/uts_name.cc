#include "fs-emulator/uts_name.h"

#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

#include "common/log.h"
#include "common/syscalls.h"

namespace sysbox::fs {
namespace {

constexpr std::size_t kLongestName = 64;   // __NEW_UTS_LEN
constexpr int kDeepestUserNamespace = 33;  // as the kernel allows, and the host's own

Result<UniqueFd> uts_namespace_of(const RootDir& host_proc, int pid) {
  return sys::openat(host_proc.fd(), join(pid, "/ns/uts"), O_RDONLY);
}

// The calling thread in another UTS namespace. Nothing in this daemon asks for the names of its
// own: a thread that could not come back would be as good as before.
class Visit {
 public:
  static Result<Visit> to(int uts_namespace_fd) {
    UniqueFd home = TRY(sys::open("/proc/thread-self/ns/uts", O_RDONLY));
    TRY(sys::setns(uts_namespace_fd, CLONE_NEWUTS));
    return Visit(std::move(home));
  }
  Visit(Visit&&) = default;
  Visit& operator=(Visit&&) = delete;
  ~Visit() {
    if (!home_.valid()) return;
    const Result<void> back = sys::setns(home_.get(), CLONE_NEWUTS);
    if (!back.ok()) log::error("return to the host's UTS namespace: ", back.error().message());
  }

 private:
  explicit Visit(UniqueFd home) : home_(std::move(home)) {}
  UniqueFd home_;
};

Result<bool> belongs_to(int uts_namespace_fd, ino_t user_namespace) {
  UniqueFd level(::ioctl(uts_namespace_fd, NS_GET_USERNS));
  for (int i = 0; i < kDeepestUserNamespace && level.valid(); ++i) {
    if (TRY(sys::fstat(level.get())).st_ino == user_namespace) return true;
    level = UniqueFd(::ioctl(level.get(), NS_GET_PARENT));
  }
  return false;
}

}  // namespace

Result<std::string> read_uts_name(const RootDir& host_proc, UtsName which, int pid) {
  const UniqueFd target = TRY(uts_namespace_of(host_proc, pid));
  const Visit visit = TRY(Visit::to(target.get()));
  struct utsname names {};
  if (::uname(&names) != 0) return last_error("uname");
  return join(which == UtsName::kHost ? names.nodename : names.domainname, "\n");
}

ino_t namespace_of(const RootDir& host_proc, int pid, const char* type) {
  const Result<struct stat> found = sys::fstatat(host_proc.fd(), join(pid, "/ns/", type));
  return found.ok() ? found.value().st_ino : 0;
}

Result<void> write_uts_name(const RootDir& host_proc, UtsName which, int pid, ino_t user_namespace,
                            std::string_view written) {
  const UniqueFd target = TRY(uts_namespace_of(host_proc, pid));
  if (!TRY(belongs_to(target.get(), user_namespace))) {
    return errno_error(EPERM, "the name of a UTS namespace that is not the container's");
  }
  // As proc_dostring(): up to the end of the line, cut to what fits.
  const std::size_t end = std::min(written.find_first_of(std::string_view("\n\0", 2)),
                                   std::min(written.size(), kLongestName));
  const Visit visit = TRY(Visit::to(target.get()));
  const bool is_set = (which == UtsName::kHost ? ::sethostname(written.data(), end)
                                               : ::setdomainname(written.data(), end)) == 0;
  if (!is_set) return last_error("set a UTS name");
  return {};
}

}  // namespace sysbox::fs

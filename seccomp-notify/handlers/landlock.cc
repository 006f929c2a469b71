// landlock_restrict_self(2): nobody can be asked whether a task is restricted by Landlock, which it
// and what it starts are for good. So a task is marked before the kernel restricts it, by what it
// bequeaths like the restriction and cannot take back: a lowered hard limit, of the one resource
// that nothing is limited by since Linux 2.4.25. Whoever lowers that itself fares no better than by
// the kernel alone.
//
// The mark is the process's, the restriction the thread's, and it may concern sockets only: a few
// may be left to the kernel that need not be.

#include <sys/resource.h>

#include <algorithm>

#include "common/log.h"
#include "seccomp-notify/handlers/handlers.h"

namespace sysbox::seccomp {
namespace {

constexpr rlim_t kMark = RLIM_INFINITY - 1;

Result<struct rlimit> read_limit(pid_t tid) {
  struct rlimit limit {};
  if (::prlimit(tid, RLIMIT_LOCKS, nullptr, &limit) != 0) return last_error("read RLIMIT_LOCKS");
  return limit;
}

Result<void> mark(const Tracee& tracee) {
  struct rlimit limit = TRY(read_limit(tracee.tid_on_host()));
  if (limit.rlim_max <= kMark) return {};
  limit.rlim_max = kMark;
  limit.rlim_cur = std::min(limit.rlim_cur, kMark);
  if (!tracee.still_waiting()) return errno_error(ESRCH, "the caller is gone");
  if (::prlimit(tracee.tid_on_host(), RLIMIT_LOCKS, &limit, nullptr) != 0) {
    return last_error("lower RLIMIT_LOCKS");
  }
  return {};
}

}  // namespace

Result<bool> is_restricted_by_landlock(const Tracee& tracee) {
  const struct rlimit limit = TRY(read_limit(tracee.tid_on_host()));
  return limit.rlim_max != RLIM_INFINITY;
}

Result<Verdict> handle_landlock_restrict_self(const Assistance& with) {
  const Result<void> marked = mark(with.tracee);
  if (marked.ok() || !with.tracee.still_waiting()) return Verdict(LetKernelRunIt{});
  // It must not rely on restrictions that our help would lead around.
  log::warning("landlock_restrict_self refused: ", marked.error().message());
  return Verdict(FailWith{EPERM});
}

}  // namespace sysbox::seccomp

// An overlay that is mounted inside keeps its marks (what is opaque, where a directory came from)
// in attributes "user.overlay.*", whether or not its mounter has asked for that by "userxattr":
// those of "trusted.*" no user namespace may set, and without any the kernel mounts an overlay in
// which a directory that also lies below can't be removed (EIO).
//
// Layers with "trusted.overlay.*" of elsewhere are no matter: inside nobody sees these, either way.

#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "common/syscalls.h"
#include "seccomp-notify/handlers/effects.h"
#include "seccomp-notify/handlers/handlers.h"

namespace sysbox::seccomp {
namespace {

constexpr std::size_t kOptionBytes = 4096;  // as much as the kernel copies (a page)

// To a comma that no backslash stands before.
std::size_t end_of_option(std::string_view options, std::size_t at) {
  while (at < options.size() && options[at] != ',') at += options[at] == '\\' ? 2 : 1;
  return std::min(at, options.size());
}

// Paths that mean the task that follows them.
bool is_of_the_follower(std::string_view text) {
  return text.find("/proc/self") != std::string_view::npos ||
         text.find("/proc/thread-self") != std::string_view::npos;
}

struct MountStep {
  int working_directory;
  const char* source;
  const char* target;
  unsigned long flags;
  const char* options;
};
long mount_overlay(const void* arguments) {
  const auto& step = *static_cast<const MountStep*>(arguments);
  if (::syscall(SYS_fchdir, step.working_directory) != 0) return -1;
  const long rc =
      ::syscall(SYS_mount, step.source, step.target, "overlay", step.flags, step.options);
  return rc == 0 ? TaskWork::kNoDescriptor : rc;
}

long open_context(const void* /*arguments*/) {
  const long context = ::syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
  if (context < 0) return -1;
  const long rc = ::syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, "userxattr", nullptr, 0);
  return rc == 0 ? context : -1;
}

}  // namespace

std::optional<std::string> overlay_options_for_user(const std::string& options) {
  if (options.ends_with('\\')) return std::nullopt;  // it would take our comma for its own
  std::string changed;
  for (std::size_t at = 0; at < options.size();) {
    const std::size_t end = end_of_option(options, at);
    const std::string_view option = std::string_view(options).substr(at, end - at);
    at = end + 1;
    // With "userxattr" no mark is followed, which "off" alone does not promise.
    if (option.empty() || option == "redirect_dir=off") continue;
    // Asked for already, or the kernel's to refuse.
    const bool is_settled = option == "userxattr" || option == "redirect_dir=on" ||
                            option == "redirect_dir=follow" || option == "metacopy=on";
    if (is_settled) return std::nullopt;
    changed.append(option).append(",");
  }
  changed += "userxattr";
  if (changed.size() >= kOptionBytes) return std::nullopt;
  return changed;
}

Result<Verdict> handle_overlay(const Assistance& with, std::uint64_t flags) {
  const Tracee& tracee = with.tracee;
  if (tracee.argument(4) == 0) return Verdict(LetKernelRunIt{});
  const std::optional<std::string> options =
      overlay_options_for_user(TRY(tracee.read_string(tracee.argument(4), kOptionBytes)));
  if (!options) return Verdict(LetKernelRunIt{});
  const std::string target_path = TRY(tracee.read_string(tracee.argument(1), PATH_MAX));
  if (is_of_the_follower(*options) || is_of_the_follower(target_path)) {
    return Verdict(LetKernelRunIt{});
  }
  std::string source;
  if (tracee.argument(0) != 0) source = TRY(tracee.read_string(tracee.argument(0), PATH_MAX));
  Caller caller = TRY(tracee.open_caller());
  TRY(caller.learn_credentials());
  if (!TRY(may_mount(caller))) return Verdict(LetKernelRunIt{});

  const Visit visit = TRY(Visit::begin(with.visitor, caller));
  if (TRY(was_covered(tracee, visit, target_path))) return Verdict(SucceedWith{0});
  const MountStep step{visit.working_directory(),
                       tracee.argument(0) == 0 ? nullptr : source.c_str(), target_path.c_str(),
                       flags, options->c_str()};
  if (!tracee.still_waiting()) return errno_error(ESRCH, "the caller is gone");
  const Result<UniqueFd> mounted =
      visit.run_as_caller({&mount_overlay, &step, {visit.working_directory()}});
  // It may come about yet, so the kernel must not do it as well.
  if (!mounted.ok() && mounted.error().code() == ETIMEDOUT) return Verdict(FailWith{EIO});
  if (!mounted.ok()) return Verdict(LetKernelRunIt{});  // in the kernel's own words
  return Verdict(SucceedWith{0});
}

Result<UniqueFd> overlay_context(const Assistance& with, const Caller& caller) {
  const Visit visit = TRY(Visit::begin(with.visitor, caller));
  return visit.run_as_caller({&open_context, nullptr, {}});
}

}  // namespace sysbox::seccomp

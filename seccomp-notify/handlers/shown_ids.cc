// Remounts that name ids as the kernel shows them. In mountinfo tmpfs, devpts, procfs and bpf tell
// the uid= and gid= that they were mounted with as ids of the host, whoever looks; mount(8) hands
// all options of a mount back when it is remounted, and then the kernel takes them for ids of the
// caller's user namespace, which has none of that number.

#include <limits.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "common/syscalls.h"
#include "seccomp-notify/handlers/handlers.h"

namespace sysbox::seccomp {
namespace {

constexpr std::size_t kOptionBytes = 4096;  // as much as the kernel copies (a page)
constexpr std::size_t kKeyBytes = sizeof "uid";
constexpr std::size_t kIdBytes = sizeof "4294967295";

std::optional<IdKind> id_kind_of(std::string_view key) {
  if (key == "uid") return IdKind::kUser;
  if (key == "gid") return IdKind::kGroup;
  return std::nullopt;
}

std::optional<std::uint32_t> parse_id(std::string_view text) {
  std::uint32_t id = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || rest != text.data() + text.size()) return std::nullopt;
  return id;
}

std::string_view first_option(std::string_view options) {
  return options.substr(0, options.find(','));
}

bool has_option(std::string_view options, std::string_view wanted) {
  while (!options.empty()) {
    const std::string_view option = first_option(options);
    if (option == wanted) return true;
    options.remove_prefix(std::min(option.size() + 1, options.size()));
  }
  return false;
}

// The option as the caller has to name it; as it is if it is none of those shown.
std::string with_own_id(std::string_view option, std::string_view shown, const Caller& caller) {
  const std::string_view key = option.substr(0, option.find('='));
  const std::optional<IdKind> kind = id_kind_of(key);
  if (!kind || key.size() == option.size() || !has_option(shown, option)) {
    return std::string(option);
  }
  const std::optional<std::uint32_t> id_on_host = parse_id(option.substr(key.size() + 1));
  if (!id_on_host) return std::string(option);
  const Result<std::uint32_t> id = caller.id_in_namespace(*kind, *id_on_host);
  return id.ok() ? join(key, "=", id.value()) : std::string(option);
}

struct RemountStep {
  int target;
  unsigned long flags;
  const char* options;
};
long remount(const void* arguments) {
  const auto& step = *static_cast<const RemountStep*>(arguments);
  if (::syscall(SYS_fchdir, step.target) != 0) return -1;
  const long rc = ::syscall(SYS_mount, nullptr, ".", nullptr, step.flags, step.options);
  return rc == 0 ? TaskWork::kNoDescriptor : rc;
}

struct OptionStep {
  int context;
  const char* key;
  const char* value;
};
// What a context is for, the kernel tells by what it answers whoever may not create a file system:
// EBUSY where there is one already.
long set_in_remount(const void* arguments) {
  const auto& step = *static_cast<const OptionStep*>(arguments);
  struct __user_cap_header_struct header {
    _LINUX_CAPABILITY_VERSION_3, 0
  };
  const struct __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &header, none) != 0) return -1;
  const long created =
      ::syscall(SYS_fsconfig, step.context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
  if (created == 0 || errno != EBUSY) return -1;
  const long rc =
      ::syscall(SYS_fsconfig, step.context, FSCONFIG_SET_STRING, step.key, step.value, 0);
  return rc == 0 ? TaskWork::kNoDescriptor : rc;
}

}  // namespace

std::string read_options_with_ids(const Tracee& tracee, std::uint64_t flags) {
  if ((flags & MS_BIND) != 0 || tracee.argument(4) == 0) return "";
  Result<std::string> options = tracee.read_string(tracee.argument(4), kOptionBytes);
  if (!options.ok()) return "";  // the kernel's to cut off or to refuse
  const bool names_ids = options.value().find("uid=") != std::string::npos ||
                         options.value().find("gid=") != std::string::npos;
  return names_ids ? std::move(options).value() : "";
}

std::optional<std::string> options_with_own_ids(const std::string& options,
                                                const std::string& shown, const Caller& caller) {
  std::string changed;
  std::string_view rest = options;
  while (!rest.empty()) {
    const std::string_view option = first_option(rest);
    rest.remove_prefix(std::min(option.size() + 1, rest.size()));
    if (!changed.empty()) changed += ',';
    changed += with_own_id(option, shown, caller);
  }
  if (changed == options || changed.size() >= kOptionBytes) return std::nullopt;
  return changed;
}

Result<Verdict> remount_as_caller(const Visit& visit, int target_fd, std::uint64_t flags,
                                  const std::string& options) {
  const RemountStep step{target_fd, flags, options.c_str()};
  const Result<UniqueFd> done = visit.run_as_caller({&remount, &step, {target_fd}});
  if (done.ok()) return Verdict(SucceedWith{0});
  // It may come about yet, so the kernel must not do it as well.
  if (done.error().code() == ETIMEDOUT) return Verdict(FailWith{EIO});
  return Verdict(FailWith{done.error().code()});
}

// One option of a context. Which file system that is of nobody tells, so what shows that an id of
// the host is meant is that the caller's user namespace has it, and none of its own of that number.
Result<Verdict> handle_fsconfig(const Assistance& with) {
  const Tracee& tracee = with.tracee;
  if (tracee.argument(2) == 0 || tracee.argument(3) == 0 || tracee.argument(4) != 0) {
    return Verdict(LetKernelRunIt{});
  }
  const std::string key = TRY(tracee.read_string(tracee.argument(2), kKeyBytes));
  const std::optional<IdKind> kind = id_kind_of(key);
  if (!kind) return Verdict(LetKernelRunIt{});
  const std::string value = TRY(tracee.read_string(tracee.argument(3), kIdBytes));
  const std::optional<std::uint32_t> id_on_host = parse_id(value);
  if (!id_on_host) return Verdict(LetKernelRunIt{});
  Caller caller = TRY(tracee.open_caller());
  if (caller.id_on_host(*kind, *id_on_host).ok()) return Verdict(LetKernelRunIt{});
  const std::uint32_t id = TRY(caller.id_in_namespace(*kind, *id_on_host));
  TRY(caller.learn_credentials());
  const UniqueFd context = TRY(tracee.copy_descriptor(static_cast<int>(tracee.argument(0))));
  if (!tracee.still_waiting()) return errno_error(ESRCH, "the caller is gone");
  const std::string own_id = std::to_string(id);
  const OptionStep step{context.get(), key.c_str(), own_id.c_str()};
  const Visit visit = TRY(Visit::begin(with.visitor, caller));
  TRY(visit.run_as_caller({&set_in_remount, &step, {context.get()}}));
  return Verdict(SucceedWith{0});
}

}  // namespace sysbox::seccomp

#include "fs-emulator/plain_mounts.h"

#include <linux/mount.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "common/procfs_context.h"
#include "common/syscalls.h"
#include "fs-emulator/emulated_mounts.h"

namespace sysbox::fs {
namespace {

constexpr std::string_view kProcessesOnly = "subset=pid";

// What a container may pass to procfs. "pidns" is left out: it would be a path on the host.
constexpr std::array<std::string_view, 3> kProcfsOptions = {"hidepid", "gid", "subset"};
// What every file system takes; not "ro", which would leave the pieces writable.
constexpr std::array<std::string_view, 8> kCommonFlags = {
    "rw", "sync", "async", "dirsync", "mand", "nomand", "lazytime", "nolazytime"};

using OptionNames = std::span<const std::string_view>;
bool is_among(OptionNames names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Result<void> apply_option(int fs_fd, std::string_view option, OptionNames known) {
  const std::size_t equals = option.find('=');
  const std::string name(option.substr(0, equals));
  if (is_among(kCommonFlags, option)) return sys::fsconfig_flag(fs_fd, name);
  if (!is_among(known, name)) return errno_error(EINVAL, "option '", option, "'");
  if (equals == std::string_view::npos) return sys::fsconfig_flag(fs_fd, name);
  return sys::fsconfig_string(fs_fd, name, std::string(option.substr(equals + 1)));
}

Result<void> apply_options(int fs_fd, std::string_view options, OptionNames known) {
  while (!options.empty()) {
    const std::size_t end = std::min(options.find(','), options.size());
    if (end != 0) TRY(apply_option(fs_fd, options.substr(0, end), known));
    options.remove_prefix(std::min(end + 1, options.size()));
  }
  return {};
}

// Calls `use` with each option of a comma list.
template <typename Use>
void for_each_option(std::string_view options, Use use) {
  while (!options.empty()) {
    const std::size_t end = std::min(options.find(','), options.size());
    if (end != 0) use(options.substr(0, end));
    options.remove_prefix(std::min(end + 1, options.size()));
  }
}

}  // namespace

Result<UniqueFd> fsopen_procfs_of(int pid_namespace_fd) {
  if (kernel_abilities().procfs_of_namespace) {
    UniqueFd fs_fd = TRY(sys::fsopen("proc"));
    const Result<void> told = sys::fsconfig_fd(fs_fd.get(), "pidns", pid_namespace_fd);
    if (told.ok()) return fs_fd;
    if (told.error().code() != EINVAL) return told.error();
    kernel_abilities().procfs_of_namespace = false;
  }
  return fsopen_procfs_inside(pid_namespace_fd);
}

Result<OpenedProcfs> open_procfs(int pid_namespace_fd, const seccomp::NewMount& mount) {
  UniqueFd context = TRY(fsopen_procfs_of(pid_namespace_fd));
  TRY(apply_options(context.get(), mount.options, kProcfsOptions));
  TRY(sys::fsconfig_create(context.get()));
  UniqueFd procfs = TRY(sys::fsmount(context.get(), mount.access_time));
  return OpenedProcfs{std::move(context), std::move(procfs)};
}

Result<UniqueFd> in_network_namespace(int net_namespace_fd,
                                      const std::function<Result<UniqueFd>()>& step) {
  const UniqueFd own = TRY(sys::open("/proc/thread-self/ns/net", O_RDONLY));
  TRY(sys::setns(net_namespace_fd, CLONE_NEWNET));
  Result<UniqueFd> done = step();
  // A thread that stays in a container's namespace is of no more use.
  const Result<void> back = sys::setns(own.get(), CLONE_NEWNET);
  if (!back.ok()) return errno_error(ENOTRECOVERABLE, back.error().message());
  return done;
}

// A sysfs shows the devices of the network namespace of the task that opens its context.
Result<UniqueFd> fsopen_sysfs_of(int net_namespace_fd) {
  return in_network_namespace(net_namespace_fd, [] { return sys::fsopen("sysfs"); });
}

Result<UniqueFd> plain_sysfs(int net_namespace_fd, const seccomp::NewMount& mount) {
  const UniqueFd context = TRY(fsopen_sysfs_of(net_namespace_fd));
  TRY(apply_options(context.get(), mount.options, {}));
  TRY(sys::fsconfig_create(context.get()));
  return sys::fsmount(context.get(), mount.access_time);
}

bool has_processes_only(const std::string& options) {
  bool found = false;
  for_each_option(options, [&](std::string_view option) { found |= option == kProcessesOnly; });
  return found;
}

std::string without_processes_only(const std::string& options) {
  std::string rest;
  for_each_option(options, [&](std::string_view option) {
    if (option == kProcessesOnly) return;
    if (!rest.empty()) rest += ',';
    rest += option;
  });
  return rest;
}

std::string procfs_options_of(const std::string& superblock_options) {
  std::string options;
  for_each_option(superblock_options, [&](std::string_view option) {
    if (option.find('=') == std::string_view::npos) return;
    if (!options.empty()) options += ',';
    options += option;
  });
  return options;
}

Result<void> reduce_to_processes(int context_fd) {
  TRY(sys::fsconfig_string(context_fd, "subset", "pid"));
  return sys::fsconfig_reconfigure(context_fd).in("procfs");
}

}  // namespace sysbox::fs

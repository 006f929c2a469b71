// mount(2): a procfs or sysfs that is mounted anew gets the container's emulated pieces.

#include <limits.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sys/mount.h>

#include <charconv>

#include "common/log.h"
#include "common/syscalls.h"
#include "seccomp-notify/handlers/effects.h"
#include "seccomp-notify/handlers/handlers.h"

namespace sysbox::seccomp {
namespace {

constexpr std::uint64_t kOldMagic = 0xC0ED0000;
constexpr std::uint64_t kOldMagicMask = 0xffff0000;
constexpr std::size_t kOptionBytes = 4096;  // as much as the kernel copies (a page)

unsigned access_time_attributes(std::uint64_t flags) {
  unsigned attributes = 0;  // relatime
  if ((flags & MS_NOATIME) != 0) attributes = MOUNT_ATTR_NOATIME;
  if ((flags & MS_STRICTATIME) != 0) attributes = MOUNT_ATTR_STRICTATIME;
  if ((flags & MS_NODIRATIME) != 0) attributes |= MOUNT_ATTR_NODIRATIME;
  return attributes;
}

// procfs reads gid=N in the user namespace of the task that mounts, which is us.
Result<std::string> options_for_host(const std::string& options, const Caller& caller) {
  std::string translated;
  for (std::size_t at = 0; at < options.size();) {
    const std::size_t end = std::min(options.find(',', at), options.size());
    const std::string_view option = std::string_view(options).substr(at, end - at);
    at = end + 1;
    if (!translated.empty()) translated += ',';
    if (!option.starts_with("gid=")) {
      translated += option;
      continue;
    }
    std::uint32_t group = 0;
    const auto [rest, error] =
        std::from_chars(option.data() + 4, option.data() + option.size(), group);
    if (error != std::errc() || rest != option.data() + option.size()) {
      return errno_error(EINVAL, "option gid");
    }
    translated += "gid=" + std::to_string(TRY(caller.id_on_host(IdKind::kGroup, group)));
  }
  return translated;
}

// What mount(2) itself asks of a caller that mounts this file system. If it does not hold the
// kernel says so, in its own words.
Result<bool> may_mount_anew(const Caller& caller, int subject_namespace_fd) {
  if (!TRY(may_mount(caller))) return false;
  return has_capability_over(caller, subject_namespace_fd, CAP_SYS_ADMIN);
}

Result<UniqueFd> build(const Assistance& with, EmulatedKind kind, const Caller& caller,
                       const TargetNamespaces& target, const std::string& options,
                       std::uint64_t flags) {
  NewMount mount;
  mount.access_time = access_time_attributes(flags);
  mount.options = TRY(options_for_host(options, caller));
  if ((flags & MS_SYNCHRONOUS) != 0) mount.options += ",sync";
  UniqueFd tree;
  if (kind == EmulatedKind::kProc) {
    tree = TRY(with.actions.procfs_with_pieces(target, mount));
  } else {
    tree = TRY(with.actions.sysfs_with_pieces(target, mount));
  }
  // Those for the pieces as well: a read-only procfs has no writable file.
  sys::MountAttributes attributes;
  attributes.set = attributes_of_flags(flags);
  if (attributes.set != 0) TRY(sys::mount_setattr(tree.get(), "", AT_RECURSIVE, attributes));
  return tree;
}

// The kernel mounts a superblock only once on a place. The container's first sysfs is locked there,
// so whoever has tried to unmount it may mount over it.
Result<bool> is_mounted_there(const Visit& visit, int tree_fd, int target_fd) {
  const Place there = TRY(describe_place(target_fd));
  const Place mounted = TRY(describe_place(tree_fd));
  if (!there.is_mount_root || there.device != mounted.device) return false;
  return !TRY(visit.is_locked(target_fd));
}

Result<Verdict> mount_anew(const Assistance& with, EmulatedKind kind, std::uint64_t flags) {
  const Tracee& tracee = with.tracee;
  const std::string target_path = TRY(tracee.read_string(tracee.argument(1), PATH_MAX));
  std::string options;
  if (tracee.argument(4) != 0) {
    options = TRY(tracee.read_string(tracee.argument(4), kOptionBytes));
  }
  Caller caller = TRY(tracee.open_caller());
  TRY(caller.learn_credentials());
  const UniqueFd pid_namespace = TRY(caller.open_namespace("pid"));
  const UniqueFd net_namespace = TRY(caller.open_namespace("net"));
  const TargetNamespaces namespaces{pid_namespace.get(), net_namespace.get()};
  const int subject = kind == EmulatedKind::kProc ? namespaces.pid_fd : namespaces.net_fd;
  if (!TRY(may_mount_anew(caller, subject))) return Verdict(LetKernelRunIt{});
  if (!TRY(may_be_seen(with, caller, kind, (flags & MS_RDONLY) != 0))) {
    return Verdict(LetKernelRunIt{});
  }

  // Built before the visit: what it is made of lies on the host.
  const Result<UniqueFd> tree = build(with, kind, caller, namespaces, options, flags);

  const Visit visit = TRY(Visit::begin(with.visitor, caller));
  const UniqueFd target = TRY(visit.resolve(target_path, Follow::kLastSymlink));
  if (!TRY(describe_place(target.get())).may_be_directory) return Verdict(FailWith{ENOTDIR});
  if (!tree.ok()) return refusal(with, tree.error());
  // Each procfs has a superblock of its own, but for those that we clone.
  if (kind == EmulatedKind::kSysfs && tracee.evidence() == 0 &&
      TRY(is_mounted_there(visit, tree.value().get(), target.get()))) {
    return Verdict(FailWith{EBUSY});
  }
  if (!tracee.still_waiting()) return errno_error(ESRCH, "the caller is gone");
  const Result<void> attached = attach_once(tracee, tree.value().get(), target.get());
  if (!attached.ok()) return Verdict(FailWith{attached.error().code()});
  if (const auto census = visit.count_mounts_on(tree.value().get())) {
    with.actions.has_attached(*census);
  }
  return Verdict(SucceedWith{0});
}

}  // namespace

Result<Verdict> handle_mount(const Assistance& with) {
  const Tracee& tracee = with.tracee;
  std::uint64_t flags = tracee.argument(3);
  if ((flags & kOldMagicMask) == kOldMagic) flags &= ~kOldMagicMask;
  if ((flags & MS_REMOUNT) != 0) return handle_remount(with, flags);
  if ((flags & MS_BIND) != 0) return handle_bind(with);
  if (tracee.argument(2) == 0) return Verdict(LetKernelRunIt{});
  const std::string filesystem = TRY(tracee.read_string(tracee.argument(2), PATH_MAX));
  if (filesystem == "proc") return mount_anew(with, EmulatedKind::kProc, flags);
  if (filesystem == "sysfs") return mount_anew(with, EmulatedKind::kSysfs, flags);
  if (filesystem == "overlay") return handle_overlay(with, flags);
  return Verdict(LetKernelRunIt{});
}

}  // namespace sysbox::seccomp

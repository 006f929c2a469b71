// fsopen(2) and fsmount(2): a procfs or sysfs that is made by the new mount API gets the
// container's emulated pieces. fsconfig(2) in between is the kernel's, by the caller's credentials.
//
// The caller does not get the descriptor that fsmount(2) makes: a notification can't hand over one
// of O_PATH. It gets an ordinary one of the same directory, which serves as well, to open files
// by it and to attach the mount, as long as the first one is kept.

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "common/syscalls.h"
#include "seccomp-notify/handlers/handlers.h"

namespace sysbox::seccomp {
namespace {

// What a context is of, the kernel tells nobody. Those that we have opened are known by the signal
// that would be sent for them, were they files that send signals (O_ASYNC). Whoever takes the mark
// off, or puts it on another context, gets what the kernel gives without us, or EPERM.
constexpr int kMark = 63;
Result<void> mark(int context_fd) {
  if (::fcntl(context_fd, F_SETSIG, kMark) != 0) return last_error("mark a context");
  return {};
}
bool is_marked(int fd) { return ::fcntl(fd, F_GETSIG) == kMark; }

Verdict give(UniqueFd fd, bool close_on_exec) {
  return GiveDescriptor{std::make_shared<const UniqueFd>(std::move(fd)), close_on_exec};
}

constexpr unsigned kAccessTime = MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME;
constexpr unsigned kKnownAttributes = kAccessTime | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                      MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW;

// Gives the new procfs or sysfs its pieces.
Result<UniqueFd> equip(const Assistance& with, const Caller& caller, UniqueFd plain,
                       unsigned attributes) {
  struct statfs fs {};
  if (::fstatfs(plain.get(), &fs) != 0) return last_error("statfs of a new mount");
  EmulatedKind kind = EmulatedKind::kNone;
  if (fs.f_type == PROC_SUPER_MAGIC) kind = EmulatedKind::kProc;
  if (fs.f_type == SYSFS_MAGIC) kind = EmulatedKind::kSysfs;
  if (kind == EmulatedKind::kNone) return errno_error(EPERM, "a foreign context");
  std::uint64_t of_all = attributes & ~kAccessTime;
  // A file system that is read-only as a whole has no writable piece.
  if ((fs.f_flags & ST_RDONLY) != 0) of_all |= MOUNT_ATTR_RDONLY;
  if (!TRY(may_be_seen(with, caller, kind, (of_all & MOUNT_ATTR_RDONLY) != 0))) {
    return errno_error(EPERM, "one that hides less than the old one");
  }
  const UniqueFd pid_namespace = TRY(caller.open_namespace("pid"));
  const UniqueFd net_namespace = TRY(caller.open_namespace("net"));
  UniqueFd tree =
      TRY(with.actions.with_pieces(std::move(plain), {pid_namespace.get(), net_namespace.get()}));
  sys::MountAttributes wanted;
  wanted.set = of_all;
  if (of_all != 0) TRY(sys::mount_setattr(tree.get(), "", AT_RECURSIVE, wanted));
  return tree;
}

}  // namespace

Result<Verdict> handle_fsopen(const Assistance& with) {
  const Tracee& tracee = with.tracee;
  const auto flags = static_cast<unsigned>(tracee.argument(1));
  if (tracee.argument(0) == 0 || (flags & ~unsigned{FSOPEN_CLOEXEC}) != 0) {
    return Verdict(LetKernelRunIt{});
  }
  const std::string filesystem = TRY(tracee.read_string(tracee.argument(0), PATH_MAX));
  const bool is_emulated = filesystem == "proc" || filesystem == "sysfs";
  if (!is_emulated && filesystem != "overlay") return Verdict(LetKernelRunIt{});
  Caller caller = TRY(tracee.open_caller());
  TRY(caller.learn_credentials());
  if (!TRY(may_mount(caller))) return Verdict(LetKernelRunIt{});
  if (!is_emulated) {
    UniqueFd of_overlay = TRY(overlay_context(with, caller));
    return give(std::move(of_overlay), (flags & FSOPEN_CLOEXEC) != 0);
  }
  const UniqueFd pid_namespace = TRY(caller.open_namespace("pid"));
  const UniqueFd net_namespace = TRY(caller.open_namespace("net"));
  const TargetNamespaces target{pid_namespace.get(), net_namespace.get()};
  Result<UniqueFd> context = filesystem == "proc" ? with.actions.procfs_context(target)
                                                  : with.actions.sysfs_context(target);
  if (!context.ok()) return refusal(with, context.error());
  TRY(mark(context.value().get()));
  return give(std::move(context).value(), (flags & FSOPEN_CLOEXEC) != 0);
}

Result<Verdict> handle_fsmount(const Assistance& with) {
  const Tracee& tracee = with.tracee;
  const auto flags = static_cast<unsigned>(tracee.argument(1));
  const auto attributes = static_cast<unsigned>(tracee.argument(2));
  if ((flags & ~unsigned{FSMOUNT_CLOEXEC}) != 0 || (attributes & ~kKnownAttributes) != 0) {
    return Verdict(LetKernelRunIt{});
  }
  const UniqueFd context = TRY(tracee.copy_descriptor(static_cast<int>(tracee.argument(0))));
  if (!is_marked(context.get())) return Verdict(LetKernelRunIt{});
  Caller caller = TRY(tracee.open_caller());
  TRY(caller.learn_credentials());
  if (!TRY(may_mount(caller))) return Verdict(LetKernelRunIt{});
  Result<UniqueFd> plain = sys::fsmount(context.get(), attributes & kAccessTime);
  if (!plain.ok()) return Verdict(FailWith{plain.error().code()});
  Result<UniqueFd> equipped = equip(with, caller, std::move(plain).value(), attributes);
  if (!equipped.ok()) return refusal(with, equipped.error());
  UniqueFd tree = std::move(equipped).value();
  UniqueFd directory = TRY(sys::openat(tree.get(), ".", O_RDONLY | O_DIRECTORY));
  with.actions.keep_for_a_while(std::move(tree), Keep::kTree);
  return give(std::move(directory), (flags & FSMOUNT_CLOEXEC) != 0);
}

}  // namespace sysbox::seccomp

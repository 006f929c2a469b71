// open_tree(2) and open_tree_attr(2) with OPEN_TREE_CLONE and without AT_RECURSIVE: over locked
// pieces the kernel refuses a clone that leaves them out. As in fsmount.cc the caller gets an
// ordinary descriptor of the clone.

#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sys/mount.h>

#include "common/syscalls.h"
#include "seccomp-notify/handlers/handlers.h"

namespace sysbox::seccomp {
namespace {

constexpr unsigned kKnownFlags =
    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;

// Of the clone alone, or of it with its pieces, of which a read-only one has no writable one.
Result<void> set_attributes(int tree_fd, EmulatedKind kind, const MountAttr& wanted) {
  sys::MountAttributes attributes;
  attributes.set = wanted.set;
  attributes.clear = wanted.clear;
  if ((wanted.set | wanted.clear) == 0) return {};
  return sys::mount_setattr(tree_fd, "", kind == EmulatedKind::kNone ? 0 : AT_RECURSIVE,
                            attributes);
}

}  // namespace

Result<Verdict> handle_open_tree(const Assistance& with, WithAttributes with_attributes) {
  const Tracee& tracee = with.tracee;
  const auto flags = static_cast<unsigned>(tracee.argument(2));
  if ((flags & ~(kKnownFlags | AT_RECURSIVE)) != 0 || tracee.argument(1) == 0) {
    return Verdict(LetKernelRunIt{});
  }
  const PlaceArguments place = TRY(read_place(tracee, flags));
  MountAttr attributes;
  if (with_attributes == WithAttributes::kYes) {
    attributes = TRY(read_mount_attr(tracee, tracee.argument(3), tracee.argument(4)));
    if ((attributes.set & MOUNT_ATTR_IDMAP) != 0) {
      return handle_clone_with_new_ids(with, place, attributes, flags);
    }
    if (((attributes.set | attributes.clear) & ~kPlainAttributes) != 0 ||
        attributes.propagation != 0) {
      return Verdict(LetKernelRunIt{});
    }
  }
  if ((flags & AT_RECURSIVE) != 0) return Verdict(LetKernelRunIt{});
  Caller caller = TRY(tracee.open_caller());
  TRY(caller.learn_credentials());
  if (!TRY(may_mount(caller))) return Verdict(LetKernelRunIt{});
  EmulatedKind kind = EmulatedKind::kNone;
  UniqueFd tree;
  {
    Visit visit = TRY(Visit::begin(with.visitor, caller));
    const UniqueFd network = TRY(caller.open_namespace("net"));
    TRY(visit.enter_network(network.get()));
    const UniqueFd source = TRY(find_place(visit, caller, place));
    kind = TRY(visit.emulated_kind_of(source.get()));
    tree = TRY(clone_with_locked(source.get()));
  }
  if (!tree.valid()) return Verdict(LetKernelRunIt{});
  tree = TRY(with.actions.keep_locked_mounts(std::move(tree)));
  TRY(set_attributes(tree.get(), kind, attributes));
  const Visit visit = TRY(Visit::begin(with.visitor, caller));
  UniqueFd directory = TRY(visit.open_directory(tree.get()));
  with.actions.keep_for_a_while(std::move(tree), Keep::kTree);
  return Verdict(GiveDescriptor{std::make_shared<const UniqueFd>(std::move(directory)),
                                (flags & OPEN_TREE_CLOEXEC) != 0});
}

}  // namespace sysbox::seccomp

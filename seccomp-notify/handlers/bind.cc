// mount(2) with MS_BIND and without MS_REC: over locked pieces the kernel refuses a bind that
// leaves them out.

#include <limits.h>
#include <linux/mount.h>
#include <sys/mount.h>

#include "common/syscalls.h"
#include "seccomp-notify/handlers/effects.h"
#include "seccomp-notify/handlers/handlers.h"

namespace sysbox::seccomp {

Result<UniqueFd> clone_with_locked(int source_fd) {
  // Only a directory can have something mounted below it.
  if (!TRY(describe_place(source_fd)).may_be_directory) return UniqueFd();
  const Result<UniqueFd> plain = sys::open_tree(source_fd, "", OPEN_TREE_CLONE);
  if (plain.ok() || plain.error().code() != EINVAL) return UniqueFd();
  return sys::open_tree(source_fd, "", OPEN_TREE_CLONE | AT_RECURSIVE);
}

Result<Verdict> handle_bind(const Assistance& with) {
  const Tracee& tracee = with.tracee;
  if (tracee.argument(0) == 0) return Verdict(LetKernelRunIt{});
  const std::string source_path = TRY(tracee.read_string(tracee.argument(0), PATH_MAX));
  const std::string target_path = TRY(tracee.read_string(tracee.argument(1), PATH_MAX));
  Caller caller = TRY(tracee.open_caller());
  UniqueFd tree;
  {
    Visit visit = TRY(Visit::begin(with.visitor, caller));
    if (const Result<UniqueFd> place = visit.glance_at(source_path, Follow::kLastSymlink);
        place.ok() && !TRY(describe_place(place.value().get())).may_be_directory) {
      return Verdict(LetKernelRunIt{});
    }
    TRY(caller.learn_credentials());
    if (!TRY(may_mount(caller))) return Verdict(LetKernelRunIt{});
    const UniqueFd network = TRY(caller.open_namespace("net"));
    TRY(visit.enter_network(network.get()));
    const UniqueFd source = TRY(visit.resolve(source_path, Follow::kLastSymlink));
    tree = TRY(clone_with_locked(source.get()));
  }
  if (!tree.valid()) return Verdict(LetKernelRunIt{});
  tree = TRY(with.actions.keep_locked_mounts(std::move(tree)));

  const Visit visit = TRY(Visit::begin(with.visitor, caller));
  const UniqueFd target = TRY(visit.resolve(target_path, Follow::kLastSymlink));
  if (!TRY(describe_place(target.get())).may_be_directory) return Verdict(FailWith{ENOTDIR});
  if (!tracee.still_waiting()) return errno_error(ESRCH, "the caller is gone");
  const Result<void> attached = attach_once(tracee, tree.get(), target.get());
  if (!attached.ok()) return Verdict(FailWith{attached.error().code()});
  return Verdict(SucceedWith{0});
}

}  // namespace sysbox::seccomp

// mount_setattr(2) and open_tree_attr(2) with MOUNT_ATTR_IDMAP for what has the container's own ids
// by an id-mapped mount: volumes, and binds of the engine. Its file system belongs to the host's
// user namespace, so that the container must not map its ids as it likes; and mount_setattr(2) maps
// no mount twice. From Linux 6.15 on a clone can get other ids instead of the old ones.
//
// What comes out is what a machine's root would get. There an id x on disk appears as what the user
// namespace N that it names makes of x. So it does here: N lies below the container's, hence all
// that it maps, it maps to ids of the container's.
//
// Why that opens nothing to the container's root. It gives itself ids on disk that N maps as it
// likes; of these it has to be the master already:
//  - The mount has exactly the container's own maps until then, so its root is master of all ids on
//    disk that these map. Of a mount with other maps, or none, it is not: a bind of what the host's
//    root owns, or of a directory whose owners are in the container's range on disk, stays the
//    kernel's to refuse. The mount itself is asked, not what the caller says of it, and its maps
//    never change.
//  - N maps no other ids on disk than the container does, and to no ids outside of the container's.
//    The clone itself is asked, when nobody else has it yet.
//  - Whether the mount is read-only, nosuid or nodev, the clone is; the kernel sees to it, and that
//    no clone uncovers what locked mounts cover. It is made in the caller's mount namespace, which
//    is the only one whose mounts the kernel lets be cloned there.
//
// The caller gets an ordinary descriptor of the clone, see fsmount.cc; by mount_setattr(2) it takes
// the place of the one that it has called with. Copies of that one still lead to the old ids.

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <charconv>
#include <string_view>

#include "common/id_map_text.h"
#include "common/syscalls.h"
#include "seccomp-notify/handlers/handlers.h"
#include "seccomp-notify/mount_numbers.h"

namespace sysbox::seccomp {
namespace {

// Nobody needs rights over the file system for these, and flags that are locked the kernel keeps.
constexpr std::uint64_t kHarmless = kPlainAttributes | MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME;

// The kernel's rule is CAP_SYS_ADMIN in the file system's user namespace. A volume is to the
// container what a disk is to a machine: its own user namespace stands for the host's.
Result<bool> owns_volumes(const Assistance& with, const Caller& caller) {
  if (!TRY(is_child_of(caller.user_namespace.get(), with.tracee.host().user_namespace.get()))) {
    return false;
  }
  if (!TRY(may_mount(caller))) return false;
  return has_capability_in(caller, caller.user_namespace.get(), CAP_SYS_ADMIN);
}

// The user namespace that the caller names, if it is below the caller's own, and so one in which
// whoever has the capability in that has it, too.
Result<UniqueFd> named_namespace(const Assistance& with, const Caller& caller,
                                 std::uint64_t descriptor) {
  if (descriptor > INT_MAX) return errno_error(EINVAL, "descriptor of a user namespace");
  UniqueFd named = TRY(with.tracee.copy_descriptor(static_cast<int>(descriptor)));
  // Only namespaces are asked what they are; another file might be the container's to answer for.
  const dev_t namespaces = TRY(describe_place(caller.user_namespace.get())).device;
  if (TRY(describe_place(named.get())).device != namespaces ||
      ::ioctl(named.get(), NS_GET_NSTYPE) != CLONE_NEWUSER) {
    return errno_error(EINVAL, "no user namespace");
  }
  const UniqueFd parent = TRY(parent_of(named.get()));
  if (!TRY(has_capability_in(caller, parent.get(), CAP_SYS_ADMIN))) {
    return errno_error(EPERM, "a user namespace that is not below the container's");
  }
  return named;
}

// Read by us, they show the host's ids.
Result<MountIdMaps> maps_of(const Caller& container_root) {
  const int process = container_root.directory.get();
  const std::string uids = TRY(sys::read_file_at(process, "uid_map"));
  const std::string gids = TRY(sys::read_file_at(process, "gid_map"));
  return MountIdMaps{parse_id_map_text(uids), parse_id_map_text(gids)};
}

struct Wanted {
  MountIdMaps containers;
  UniqueFd user_namespace;
  sys::MountAttributes attributes;
};
Result<Wanted> check_wish(const Assistance& with, const Caller& caller, const MountAttr& asked) {
  if ((asked.set & ~(kHarmless | MOUNT_ATTR_IDMAP)) != 0 || (asked.clear & ~kHarmless) != 0) {
    return errno_error(EINVAL, "attributes beside the ids");
  }
  if (!TRY(owns_volumes(with, caller))) return errno_error(EPERM, "new ids for a mount");
  Wanted wanted;
  wanted.containers = TRY(maps_of(caller));
  wanted.user_namespace = TRY(named_namespace(with, caller, asked.user_namespace));
  wanted.attributes.set = asked.set;
  wanted.attributes.clear = asked.clear;
  wanted.attributes.propagation = asked.propagation;
  wanted.attributes.userns_fd = wanted.user_namespace.get();
  return wanted;
}

enum class Tree { kTop, kWhole };

// Whether the place's mount has the container's own maps; of a whole tree, also whether it is that
// one mount.
Result<bool> has_containers_maps(const Assistance& with, const Caller& caller, int place_fd,
                                 Tree tree, const MountIdMaps& containers) {
  UniqueFd clone;
  {
    const Visit visit = TRY(Visit::begin(with.visitor, caller));
    const unsigned all = tree == Tree::kWhole ? AT_RECURSIVE : 0;
    clone = TRY(sys::open_tree(place_fd, "", OPEN_TREE_CLONE | all));
  }
  const TreeLook look = TRY(with.actions.look_at(std::move(clone)));
  return look.maps == containers && !look.has_mounts_on_it;
}

struct NewClone {
  UniqueFd mount;
  UniqueFd for_caller;
};
// A clone of what has the container's own maps.
Result<NewClone> clone_with_ids(const Assistance& with, const Caller& caller, int place_fd,
                                const Wanted& wanted) {
  NewClone made;
  UniqueFd copy;
  {
    const Visit visit = TRY(Visit::begin(with.visitor, caller));
    made.mount = TRY(clone_with_attributes(place_fd, wanted.attributes));
    copy = TRY(sys::open_tree(made.mount.get(), "", OPEN_TREE_CLONE));
  }
  const TreeLook look = TRY(with.actions.look_at(std::move(copy)));
  if (!look.maps || !is_within(*look.maps, wanted.containers)) {
    return errno_error(EPERM, "ids that are not the container's");
  }
  const Visit visit = TRY(Visit::begin(with.visitor, caller));
  made.for_caller = TRY(visit.open_again(made.mount.get()));
  return made;
}

// The line of /proc/PID/fdinfo/FD: "flags:\t02100000".
Result<bool> closes_on_exec(const Caller& caller, int fd) {
  const std::string text = TRY(sys::read_file_at(caller.directory.get(), join("fdinfo/", fd)));
  constexpr std::string_view kFlags = "flags:\t";
  const std::size_t at = text.find(kFlags);
  if (at == std::string::npos) return errno_error(EIO, "flags of a descriptor");
  unsigned flags = 0;
  std::from_chars(text.data() + at + kFlags.size(), text.data() + text.size(), flags, 8);
  return (flags & O_CLOEXEC) != 0;
}

// Whether the place is the root of a detached tree. Of a file that is mounted in one nobody can
// tell; it is cloned then, as its owner could have done.
Result<bool> is_detached_root(int place_fd, const Place& place) {
  if (!place.is_mount_root) return false;
  const std::optional<std::uint64_t> number = unique_mount_id(place_fd);
  if (!number) return false;
  const Result<StatmountAnswer> attached = stat_superblock(*number);
  if (attached.ok() || attached.error().code() != ENOENT) return false;
  if (!place.is_directory) return true;
  const UniqueFd above = TRY(sys::openat(place_fd, "..", O_PATH | O_DIRECTORY));
  return TRY(describe_place(above.get())).mount_id == place.mount_id;
}

}  // namespace

Result<Verdict> handle_new_ids(const Assistance& with, const PlaceArguments& place,
                               const MountAttr& asked) {
  const int fd = static_cast<int>(static_cast<std::uint32_t>(place.dirfd));
  // What is detached is known by a descriptor alone; what is not, the kernel refuses.
  if (!place.path.empty() || !place.may_be_empty || fd < 0) return Verdict(LetKernelRunIt{});
  Caller caller = TRY(with.tracee.open_caller());
  TRY(caller.learn_credentials());
  const Wanted wanted = TRY(check_wish(with, caller, asked));
  UniqueFd source;
  {
    const Visit visit = TRY(Visit::begin(with.visitor, caller));
    source = TRY(find_place(visit, caller, place));
    const Place found = TRY(describe_place(source.get()));
    const auto number = static_cast<std::uint64_t>(found.mount_id);
    if (with.tracee.evidence() == number) return Verdict(SucceedWith{0});
    if (!TRY(is_detached_root(source.get(), found))) return Verdict(LetKernelRunIt{});
  }
  if (!TRY(has_containers_maps(with, caller, source.get(), Tree::kWhole, wanted.containers))) {
    return Verdict(LetKernelRunIt{});
  }
  NewClone made = TRY(clone_with_ids(with, caller, source.get(), wanted));
  const bool close_on_exec = TRY(closes_on_exec(caller, fd));
  const Place given = TRY(describe_place(made.mount.get()));
  if (!with.tracee.still_waiting()) return errno_error(ESRCH, "the caller is gone");
  with.tracee.write_down(static_cast<std::uint64_t>(given.mount_id));
  with.actions.keep_for_a_while(std::move(made.mount), Keep::kOneOfMany);
  return Verdict(GiveDescriptor{std::make_shared<const UniqueFd>(std::move(made.for_caller)),
                                close_on_exec, fd});
}

Result<Verdict> handle_clone_with_new_ids(const Assistance& with, const PlaceArguments& place,
                                          const MountAttr& asked, unsigned flags) {
  Caller caller = TRY(with.tracee.open_caller());
  TRY(caller.learn_credentials());
  const Wanted wanted = TRY(check_wish(with, caller, asked));
  UniqueFd source;
  {
    const Visit visit = TRY(Visit::begin(with.visitor, caller));
    source = TRY(find_place(visit, caller, place));
  }
  const Tree tree = (flags & AT_RECURSIVE) != 0 ? Tree::kWhole : Tree::kTop;
  if (!TRY(has_containers_maps(with, caller, source.get(), tree, wanted.containers))) {
    return Verdict(LetKernelRunIt{});
  }
  NewClone made = TRY(clone_with_ids(with, caller, source.get(), wanted));
  with.actions.keep_for_a_while(std::move(made.mount), Keep::kOneOfMany);
  return Verdict(GiveDescriptor{std::make_shared<const UniqueFd>(std::move(made.for_caller)),
                                (flags & OPEN_TREE_CLOEXEC) != 0});
}

}  // namespace sysbox::seccomp

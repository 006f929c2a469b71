#pragma once

// What is done for each trapped call. Where a handler has nothing to add, or cannot find out,
// the kernel runs the call: its own checks hold for it, and its errno is the right one.

#include <linux/mount.h>

#include <optional>
#include <string>
#include <vector>

#include "common/mount_info.h"
#include "seccomp-notify/container_actions.h"
#include "seccomp-notify/tracee.h"
#include "seccomp-notify/trapped_syscall.h"
#include "seccomp-notify/visitor.h"

namespace sysbox::seccomp {

// What a handler works with, for one call.
struct Assistance {
  const Tracee& tracee;
  ContainerActions& actions;
  Visitor& visitor;
};

// An error means: let the kernel run it.
Result<Verdict> handle_mount(const Assistance& with);
Result<Verdict> handle_umount(const Assistance& with, std::uint64_t flags);
Result<Verdict> handle_fsopen(const Assistance& with);
Result<Verdict> handle_fsmount(const Assistance& with);
Result<Verdict> handle_fsconfig(const Assistance& with);

// mount(2) with MS_BIND, and with MS_REMOUNT.
Result<Verdict> handle_bind(const Assistance& with);
Result<Verdict> handle_remount(const Assistance& with, std::uint64_t flags);

// The options of a remount (mount(2)) that may name ids, else "".
std::string read_options_with_ids(const Tracee& tracee, std::uint64_t flags);
// Options of a remount in which the ids that the file system shows are the caller's own; nothing
// if none of them is named.
std::optional<std::string> options_with_own_ids(const std::string& options,
                                                const std::string& shown, const Caller& caller);
// The remount of the file system whose root is open, with these.
Result<Verdict> remount_as_caller(const Visit& visit, int target_fd, std::uint64_t flags,
                                  const std::string& options);

// A new overlay by mount(2), and a context (fsopen(2)) for one, both of the caller's user
// namespace.
Result<Verdict> handle_overlay(const Assistance& with, std::uint64_t flags);
Result<UniqueFd> overlay_context(const Assistance& with, const Caller& caller);
// Options of an overlay with "userxattr"; nothing if they are to stay as they are.
std::optional<std::string> overlay_options_for_user(const std::string& options);

Result<Verdict> handle_mount_setattr(const Assistance& with);
struct PlaceArguments;
struct MountAttr;
// The same and open_tree_attr(2), with MOUNT_ATTR_IDMAP.
Result<Verdict> handle_new_ids(const Assistance& with, const PlaceArguments& place,
                               const MountAttr& wanted);
Result<Verdict> handle_clone_with_new_ids(const Assistance& with, const PlaceArguments& place,
                                          const MountAttr& wanted, unsigned flags);
enum class WithAttributes { kNo, kYes };
Result<Verdict> handle_open_tree(const Assistance& with, WithAttributes with_attributes);

struct NodeArguments {
  std::uint64_t dirfd = 0;
  std::uint64_t path = 0;
  std::uint64_t mode = 0;
  std::uint64_t device = 0;
};
Result<Verdict> handle_mknod(const Assistance& with, const NodeArguments& arguments);

Result<Verdict> handle_landlock_restrict_self(const Assistance& with);
// Whether the caller, or the one that it descends from, has restricted itself by Landlock. What
// we do we would do without its restrictions.
Result<bool> is_restricted_by_landlock(const Tracee& tracee);

Result<Verdict> handle_sched_getaffinity(const Assistance& with);
// Leaves `count` cpus of a mask with more, from the one after `start` others on.
void trim_cpu_mask(std::string& mask, std::size_t count, std::size_t start);

Result<Verdict> handle_sysinfo(const Assistance& with);
// The bytes of a struct sysinfo.
std::string sysinfo_for_64_bit(const SystemInformation& numbers);
std::string sysinfo_for_32_bit(const SystemInformation& numbers);

// Whether the caller may change its mount namespace at all.
Result<bool> may_mount(const Caller& caller);

// The mounts directly on mount `mount_id`.
std::vector<const MountInfo*> mounts_on(const std::vector<MountInfo>& mounts, int mount_id);
bool is_piece(const ContainerActions& actions, const MountInfo& mount);

// The one of that number; null if it is not among them.
const MountInfo* find_mount(const std::vector<MountInfo>& mounts, int mount_id);

// A mount below another one, and the path from there to it.
struct BelowMount {
  const MountInfo* mount;
  std::string path;
};
enum class Depth { kDirectly, kAll };
// Those on the mount whose root is open, or also those on these; parents come first.
Result<std::vector<BelowMount>> mounts_below(const std::vector<MountInfo>& mounts, int mount_fd,
                                             Depth depth);

// A place as the calls with "at" in their name are told it.
struct PlaceArguments {
  std::uint64_t dirfd = 0;
  std::string path;
  Follow follow = Follow::kLastSymlink;
  bool may_be_empty = false;  // AT_EMPTY_PATH
};
// From the first two arguments, and the AT_ flags of the third.
Result<PlaceArguments> read_place(const Tracee& tracee, unsigned flags);
Result<UniqueFd> find_place(const Visit& visit, const Caller& caller, const PlaceArguments& place);

// Flags of mount(2) as attributes of mount_setattr(2), but for those of access times.
std::uint64_t attributes_of_flags(std::uint64_t mount_flags);

// What a struct mount_attr asks for.
struct MountAttr {
  std::uint64_t set = 0;
  std::uint64_t clear = 0;
  std::uint64_t propagation = 0;
  std::uint64_t user_namespace = 0;  // with MOUNT_ATTR_IDMAP: a descriptor of the caller's
};
// Those that need no right over the file system.
inline constexpr std::uint64_t kPlainAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                                  MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
                                                  MOUNT_ATTR_NOSYMFOLLOW;
Result<MountAttr> read_mount_attr(const Tracee& tracee, std::uint64_t address, std::uint64_t bytes);

// A detached clone of a directory and all that is mounted below it, where the kernel refuses one
// without; else an invalid descriptor.
Result<UniqueFd> clone_with_locked(int source_fd);

// Whether something is mounted on the place's mount, and all of it is pieces of ours.
Result<bool> carries_only_pieces(const Visit& visit, int place_fd, const ContainerActions& actions);
// Whether the place is the root of a mounted procfs or sysfs, or of a bind of a part of it.
Result<bool> is_emulated_root(const Visit& visit, int place_fd);
// A quick look, before we learn who the caller is, that spares most calls the rest.
Result<bool> may_concern_us(const Visit& visit, const std::string& path, Follow follow);

// mount_too_revealing() of the kernel for a caller in a user namespace of its own inside the
// container: what its engine has hidden from it in a mounted procfs (or sysfs) must not come to
// light by a new one. Such an engine's covers are seen as mounts that are not our pieces.
bool is_fully_visible(const std::vector<MountInfo>& mounts, EmulatedKind kind,
                      const ContainerActions& actions, bool new_mount_is_read_only);
// The whole of it, for any caller. Not while visiting.
Result<bool> may_be_seen(const Assistance& with, const Caller& caller, EmulatedKind kind,
                         bool new_mount_is_read_only);

// What to answer if the making of a procfs or sysfs with pieces fails.
Verdict refusal(const Assistance& with, const Error& error);

Verdict handle(TrappedCall call, const Assistance& with);

}  // namespace sysbox::seccomp

#pragma once

// Visitor: a worker thread that enters a caller's mount namespace for one step, sees paths as
// the caller does, and comes back. Needs no other process.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/mount_info.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "seccomp-notify/caller_task.h"
#include "seccomp-notify/container_actions.h"
#include "seccomp-notify/tracee.h"

namespace sysbox::seccomp {

enum class Follow { kLastSymlink, kNoLastSymlink };

// What statx(2) tells of an open place without asking its file system, which may be a FUSE of
// the container's own, served by the very caller that waits for us.
struct Place {
  bool is_directory = false;
  // A FUSE that was mounted inside does not even tell others what its own nodes are.
  bool may_be_directory = false;
  bool is_mount_root = false;
  int mount_id = 0;
  dev_t device = 0;
};
Result<Place> describe_place(int fd);

// The device of a line of mountinfo.
std::optional<dev_t> device_number(const MountInfo& mount);

enum class EmulatedKind { kNone, kProc, kSysfs };

// One per worker thread; used by that thread only.
class Visitor {
 public:
  // Leaves the file system attributes (root, working directory, umask) that the process's
  // threads share: the kernel lets only such a thread change its mount namespace.
  static Result<Visitor> start(const HostView& host);

  // False if the thread could not return to the host's mount namespace or credentials. It must
  // end then.
  bool is_at_home() const { return at_home_; }
  void give_up() { at_home_ = false; }

 private:
  friend class Visit;
  explicit Visitor(const HostView& host) : host_(&host) {}

  struct Credentials {
    uid_t filesystem_uid = 0;
    gid_t filesystem_gid = 0;
    std::vector<gid_t> groups;
    std::uint64_t effective_capabilities = 0;
  };
  Result<void> assume(const Credentials& credentials);
  void resume(const Credentials& left);

  const HostView* host_;
  UniqueFd own_descriptors_;  // the thread's directory of descriptors in the host's procfs
  Credentials own_;
  std::uint64_t permitted_capabilities_ = 0;
  bool at_home_ = true;
};

// The stay in one caller's mount namespace: from begin() to the end of the scope.
class Visit {
 public:
  // The thread's root becomes the caller's, unless that does not let us in, being in a FUSE of the
  // container's own; neither need its working directory.
  static Result<Visit> begin(Visitor& visitor, const Caller& caller);
  ~Visit();
  Visit(Visit&& other) noexcept
      : visitor_(other.visitor_),
        caller_(other.caller_),
        root_(std::move(other.root_)),
        working_directory_(std::move(other.working_directory_)),
        root_is_closed_to_us_(other.root_is_closed_to_us_),
        has_left_network_(other.has_left_network_) {
    other.visitor_ = nullptr;
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  Visit& operator=(Visit&&) = delete;

  // Opens a path (O_PATH) as the caller would, whose credentials have to be known, by its root,
  // working directory and credentials. May block for as long as a file system of the container
  // does.
  Result<UniqueFd> resolve(const std::string& path, Follow follow) const;

  // The same for a path that starts at an open directory of the caller's.
  Result<UniqueFd> resolve_at(int dirfd, const std::string& path, Follow follow) const;

  // The same below an open directory, following no symbolic link.
  Result<UniqueFd> resolve_beneath(int dirfd, const std::string& path) const;

  // For what is resolved from then on: below /proc/sys/net each network namespace has files of its
  // own, on which lie mounts of their own.
  Result<void> enter_network(int net_namespace_fd);

  struct Node {
    mode_t mode = 0;  // with its type; the umask is 0
    dev_t device = 0;
  };
  // mknodat(2) as the caller, but with CAP_MKNOD of the host's. EPERM where the node could not be
  // opened: on a mount or a file system without devices.
  Result<void> make_node(int directory_fd, const std::string& name, const Node& node) const;

  // Like resolve() by our own credentials, to find out soon that a place does not concern us: the
  // caller's rights decide nothing then. Magic links (/proc/PID/root) give ELOOP; EACCES says no
  // more than that we must ask as the caller.
  Result<UniqueFd> glance_at(const std::string& path, Follow follow) const;

  // All mounts of the namespace that the caller's root reaches, or of the whole of it where that
  // does not let us in.
  Result<std::vector<MountInfo>> read_mounts() const;

  // Whether the place lies in a procfs or a sysfs; asks no file system either.
  Result<EmulatedKind> emulated_kind_of(int fd) const;

  // Whether any mount lies on the mount of the open place.
  Result<bool> has_mounts_on(int fd) const;
  // The devices of all mounts on the mount of the open place, and on those.
  Result<std::vector<dev_t>> devices_mounted_on(int fd) const;

  // Counts them; nothing if the kernel gives no unique numbers.
  std::optional<MountCensus> count_mounts_on(int fd) const;

  int root() const { return root_.get(); }
  int working_directory() const { return working_directory_.get(); }

  // In a task that is in the caller's user namespace, too.
  Result<UniqueFd> run_as_caller(const TaskWork& work) const {
    return run_in_task_of(*caller_, root_is_closed_to_us_ ? root_.get() : -1, work);
  }

  // Opens a directory for reading, as the caller would.
  Result<UniqueFd> open_directory(int place_fd) const;
  // The same for a directory or regular file of a file system of the host's.
  Result<UniqueFd> open_again(int place_fd) const;

  // Whether the mount whose root is open is locked to its parent.
  Result<bool> is_locked(int mount_fd) const;

  // umount2(2) of the mount whose root is open as `mount_fd`.
  Result<void> unmount(int mount_fd, int flags) const;

 private:
  Visit(Visitor& visitor, const Caller& caller, UniqueFd root, UniqueFd working_directory)
      : visitor_(&visitor),
        caller_(&caller),
        root_(std::move(root)),
        working_directory_(std::move(working_directory)) {}
  Visitor::Credentials caller_credentials(std::uint64_t effective_capabilities) const;
  Result<UniqueFd> open_as_caller(const OpenRequest& request) const;
  Result<std::optional<UniqueFd>> open_descriptor_link(const std::string& path,
                                                       std::string& rest) const;

  Visitor* visitor_;
  const Caller* caller_;
  // The caller's.
  UniqueFd root_;
  UniqueFd working_directory_;
  bool root_is_closed_to_us_ = false;
  bool has_left_network_ = false;
};

}  // namespace sysbox::seccomp

#pragma once

// The caller of a trapped call: its memory, and who and where it is. Everything is read through
// descriptors of the host's procfs, so that nothing that a container mounts can mislead.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "common/process_status.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "seccomp-notify/notify_kernel.h"

namespace sysbox::seccomp {

// The host as the daemon saw it at its start; kept, because a thread that visits a container
// could not find it again by path.
struct HostView {
  UniqueFd proc;
  UniqueFd mount_namespace;
  UniqueFd user_namespace;
  UniqueFd network_namespace;

  static Result<HostView> open();
};

enum class IdKind { kUser, kGroup };

// A calling task. Its descriptors belong to this very task, also when its pid is used again.
struct Caller {
  UniqueFd directory;  // its /proc/TID
  UniqueFd mount_namespace;

  // From learn_credentials() on:
  ProcessStatus status;
  UniqueFd user_namespace;
  UniqueFd mount_owner;  // the user namespace that owns its mount namespace

  Result<void> learn_credentials();

  // A namespace ("pid", "net") of the task.
  Result<UniqueFd> open_namespace(const std::string& name) const;
  // Whether its user namespace has ids for these of the host.
  Result<bool> knows_ids(uid_t host_uid, gid_t host_gid) const;
  // The host's id of one that the caller names, and the caller's of one of the host's; EINVAL if
  // its namespace maps none.
  Result<std::uint32_t> id_on_host(IdKind kind, std::uint32_t id_in_namespace) const;
  Result<std::uint32_t> id_in_namespace(IdKind kind, std::uint32_t id_on_host) const;
};

// ns_capable(): whether the caller has the capability in that user namespace, by its own sets or
// as the creator of the namespace or of an ancestor.
Result<bool> has_capability_in(const Caller& caller, int user_namespace_fd, int capability);
// The same for the user namespace that owns another namespace.
Result<bool> has_capability_over(const Caller& caller, int namespace_fd, int capability);

// The user namespace in which another was made. EPERM: it lies outside of our own.
Result<UniqueFd> parent_of(int user_namespace_fd);

// Whether a user namespace is a direct child of another. One that is the host's child is the
// container's own; the others are made inside it.
Result<bool> is_child_of(int user_namespace_fd, int parent_fd);

// The inode of the container's own user namespace: of the caller's ancestors the one that is a
// child of ours.
Result<ino_t> container_user_namespace(const Caller& caller);

class Tracee {
 public:
  Tracee(NotifyKernel& kernel, const HostView& host, int listener, const Notification& call)
      : kernel_(kernel), host_(host), listener_(listener), call_(call) {}

  std::uint64_t argument(std::size_t index) const { return call_.arguments[index]; }
  pid_t tid_on_host() const { return call_.tid_on_host; }
  std::uint32_t architecture() const { return call_.architecture; }
  const HostView& host() const { return host_; }

  // Ask after each read of the caller and before each effect.
  bool still_waiting() const { return kernel_.is_waiting(listener_, call_.id); }

  // The daemon may be killed at an effect, and a later one carry out the same call again. So a
  // handler first writes down something, not 0, by which it knows then whether the effect came
  // about; evidence() is what it finds then, and 0 else.
  void write_down(std::uint64_t evidence) const {
    if (call_.evidence != nullptr) *call_.evidence = evidence;
  }
  std::uint64_t evidence() const { return call_.evidence != nullptr ? call_.evidence->load() : 0; }

  // A NUL-ended string of the caller's memory, read once. EFAULT; ENAMETOOLONG if its first
  // `limit` bytes hold no NUL. May block for as long as the caller's memory does.
  Result<std::string> read_string(std::uint64_t address, std::size_t limit) const;

  // Writes into the caller's memory, after a last check that it waits. EFAULT as for the kernel.
  Result<void> write(std::uint64_t address, std::string_view bytes) const;
  // So many bytes of the caller's memory, read once. EFAULT.
  Result<std::string> read_bytes(std::uint64_t address, std::size_t count) const;

  // A copy of a descriptor of the calling thread. EBADF if it has none of that number.
  Result<UniqueFd> copy_descriptor(int fd) const;

  // The caller, as yet without its credentials.
  Result<Caller> open_caller() const;

 private:
  NotifyKernel& kernel_;
  const HostView& host_;
  int listener_;
  const Notification& call_;
};

}  // namespace sysbox::seccomp

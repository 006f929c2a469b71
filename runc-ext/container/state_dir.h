#pragma once

// <root>/<id>/: what sysbox-runc keeps of a container between its commands: state.json, the exec
// FIFO and a lock. Everything needed to delete the container stands in state.json before the
// thing itself is made.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/id_range.h"
#include "common/result.h"
#include "common/syscalls.h"
#include "common/unique_fd.h"
#include "runc-ext/cgroup/cgroup.h"
#include "runc-ext/oci/hooks.h"
#include "runc-ext/oci/process.h"
#include "runc-ext/oci/seccomp.h"

namespace sysbox::runc {

// The content of state.json.
struct ContainerRecord {
  std::string id;
  std::string oci_version;
  std::string bundle;
  std::string rootfs;
  std::string created;  // RFC 3339
  std::map<std::string, std::string> annotations;
  int init_pid = 0;                   // on the host; 0 before it exists
  std::uint64_t init_start_time = 0;  // field 22 of /proc/PID/stat: tells a reused pid
  IdMap uid_map;
  IdMap gid_map;
  CgroupState cgroup;
  bool shares_pid_namespace = false;  // its processes do not end with its init
  bool ranges_registered = false;     // with sysbox-mgr
  bool emulation_registered = false;  // with sysbox-fs
  // For `exec`: what the container's own process was given.
  OciProcess process;
  std::optional<OciSeccomp> seccomp;
  std::optional<unsigned long> personality;
  std::vector<OciHook> poststart;
  std::vector<OciHook> poststop;
};

enum class ContainerStatus { kCreating, kCreated, kRunning, kPaused, kStopped };
const char* status_name(ContainerStatus status);

class StateDir {
 public:
  // Makes <root>/<id>; EEXIST "container with id 'x' exists already". Checks the id as runc
  // does (letters, digits, _ + - . only).
  static Result<StateDir> create(const std::string& root, const std::string& id);
  // ENOENT "container 'x' does not exist".
  static Result<StateDir> open(const std::string& root, const std::string& id);
  // The ids of all containers below root, sorted; a missing root is an empty list.
  static Result<std::vector<std::string>> list(const std::string& root);

  // Takes the container's lock (flock), so that two commands do not change it at once;
  // ETIMEDOUT after the deadline names the holder's pid if it can.
  Result<UniqueFd> lock(Deadline deadline) const;

  // EBADMSG if state.json is damaged or missing (creation was interrupted): all that is known of
  // such a container is its id, and `delete --force` must clear it. ENOTSUP: of a newer version.
  Result<ContainerRecord> load() const;
  Result<void> save(const ContainerRecord& record) const;

  // The FIFO that holds a created container's init back until `start` opens it.
  Result<void> make_exec_fifo(uid_t host_uid, gid_t host_gid) const;
  Result<UniqueFd> open_exec_fifo(int flags) const;  // ENOENT once started
  Result<bool> has_exec_fifo() const;
  Result<void> remove_exec_fifo() const;

  // Removes the directory and all that is ours in it.
  Result<void> remove() const;

  const std::string& id() const { return id_; }
  std::string path() const { return root_ + "/" + id_; }
  int fd() const { return directory_.get(); }

 private:
  StateDir(std::string root, std::string id, UniqueFd directory)
      : root_(std::move(root)), id_(std::move(id)), directory_(std::move(directory)) {}
  std::string root_;
  std::string id_;
  UniqueFd directory_;
};

}  // namespace sysbox::runc

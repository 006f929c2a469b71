#pragma once

// The container's cgroups on the host: made, limited, delegated to the container's root, removed.
// cgroup v1, hybrid and v2, by the cgroupfs driver or by systemd's.
//
// On v1 each hierarchy gets two directories: the container's, which holds the limits and belongs
// to the host's root (engines and monitors read it), and below it the delegated one, which belongs
// to the container's root and is what it sees as "/". On v2 one directory is both, because there
// the files with limits stay the host's; processes live in a leaf below it, so that the container
// may hand controllers to cgroups of its own ("no processes in inner nodes").

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/id_range.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "runc-ext/cgroup/scope_keeper.h"
#include "runc-ext/cgroup/unit_properties.h"
#include "runc-ext/oci/resources.h"

namespace sysbox::runc {

// One mounted hierarchy of the host.
struct CgroupHierarchy {
  std::string mount_point;  // "/sys/fs/cgroup/cpu,cpuacct"
  std::string name;         // as in /proc/PID/cgroup: "cpu,cpuacct", "name=systemd", ""
  std::vector<std::string> controllers;  // empty for a named v1 hierarchy, and for v2
  bool v2 = false;
};

enum class CgroupLayout { kV1, kHybrid, kV2 };

struct CgroupHost {
  CgroupLayout layout = CgroupLayout::kV2;
  std::vector<CgroupHierarchy> hierarchies;
};
// What the host has mounted; ENOENT with a hint if there is none.
Result<CgroupHost> find_cgroup_host();
// The same from the text of /proc/PID/mountinfo.
Result<CgroupHost> parse_cgroup_host(std::string_view mountinfo);

// Saved in state.json and enough to find everything again. Complete after delegate().
struct CgroupState {
  // hierarchy name → the container's directory on the host, which holds the limits
  std::map<std::string, std::string> directories;
  // hierarchy name → the delegated directory, root of the container's cgroup namespace. v1: a
  // child of the above, owned by the container's root; v2: the same directory. A v1 hierarchy is
  // missing here if a limit was asked for that v1 does not hold for child cgroups: then the
  // container must not get the hierarchy mounted writable (leave it out of /sys/fs/cgroup).
  std::map<std::string, std::string> delegated;
  // v2: name of the leaf below the delegated directory in which init and exec'ed processes start
  // ("init.scope"); empty on pure v1
  std::string leaf;
  // systemd's unit that the directories belong to; empty with the cgroupfs driver
  std::string unit;
  // the limits, as config.json and the updates since have them; without the devices
  OciResources resources;
};

enum class BornInLeaf { kNo, kYes };

// The way into a container's cgroups for a process that moves itself. A write of somebody else's
// pid to cgroup.procs waits for an RCU grace period (6 to 10 ms were seen for the first one);
// clone3(CLONE_INTO_CGROUP) for v2 and "0" written to v1 `tasks` do not (under 0.1 ms for nine
// hierarchies). The descriptors were opened with the opener's rights, so the process may be in
// the container's user namespace already, and may see any mounts.
class CgroupEntrance {
 public:
  // For clone_args.cgroup; -1 without cgroup v2.
  int clone_into_fd() const { return leaf_.get(); }

  // Moves the calling process, which must have one thread.
  Result<void> enter(BornInLeaf born) const;

  // Gives the calling process, which has entered, a new cgroup namespace rooted at the delegated
  // directories and owned by its user namespace. A plain unshare() would root it at the leaf.
  Result<void> unshare_namespace() const;

 private:
  friend class Cgroup;
  struct Tasks {
    std::string path;
    UniqueFd fd;
  };
  std::vector<Tasks> tasks_;  // v1
  UniqueFd leaf_, root_;      // v2, O_PATH
  UniqueFd leaf_procs_, root_procs_;
};

class Cgroup {
 public:
  // Plans the directories; touches nothing. `cgroups_path`: linux.cgroupsPath, or "" for
  // /sysbox/<id>; absolute paths are below each hierarchy's mount point, relative ones below
  // the runtime's own cgroup (as runc's cgroupfs driver has it).
  static Result<Cgroup> plan(const CgroupHost& host, const std::string& cgroups_path,
                             const std::string& id);
  // The same for systemd's driver: "slice:prefix:name", or "" for system.slice:sysbox:<id>.
  // `annotations` may set properties of the unit (org.systemd.property.*).
  static Result<Cgroup> plan_scope(const CgroupHost& host, const std::string& cgroups_path,
                                   const std::string& id,
                                   const std::map<std::string, std::string>& annotations);
  static Cgroup from_state(CgroupState state);

  const CgroupState& state() const { return state_; }
  // The container's directory in the hierarchy of a controller; "" if the host has none.
  std::string v1_directory_of(std::string_view controller) const;
  std::string v2_directory() const;
  // The delegated one, or the above if it is not delegated.
  std::string v1_delegated_directory_of(std::string_view controller) const;

  // Makes the directories, and enables controllers (v2). EBUSY if a directory of that name holds
  // processes of another container. Undoes itself: do not remove() after it failed. A scope of
  // systemd's lasts until this object or the last process in it ends.
  Result<void> create();
  // Writes the limits to the container's directories. Before delegate().
  Result<void> apply(const OciResources& resources);
  // Changes the limits of a container that is there. Its devices stay as they are.
  Result<void> update(const OciResources& asked);
  // Gives the delegated directories and their files to the container's root.
  Result<void> delegate(uid_t host_uid, gid_t host_gid);

  // For init, and for exec'ed processes: `init_pid` says where the latter may go if the container
  // has made an inner node of the leaf, or has removed it.
  Result<CgroupEntrance> open_entrance(pid_t init_pid = 0) const;

  // All processes in the container's cgroups, nested ones too.
  Result<std::vector<pid_t>> processes() const;
  // SIGKILL: by cgroup.kill or to each process until none is left (ETIMEDOUT after ten seconds).
  // Any other signal: once to each process.
  Result<void> kill_all(int signal) const;
  // Waits until it is so; ETIMEDOUT after ten seconds, and then it is thawed.
  Result<void> freeze(bool frozen) const;
  Result<bool> frozen() const;  // false if the cgroup is gone
  // Removes the directories and all below; waits briefly for dying processes. Missing is fine;
  // EBUSY names a process that still lives.
  Result<void> remove() const;

 private:
  // A limit's value as the container's own root cgroup shall show it (v1).
  struct VisibleValue {
    std::string path;
    std::string value;
  };

  Result<void> check_unused() const;
  Result<void> make_directories();
  Result<void> start_scope();
  Result<void> set_unit_properties(OciResources& resources) const;
  Result<std::string> leaf_for(pid_t init_pid) const;
  Result<void> apply_limits(const OciResources& resources);
  Result<void> apply_devices(const OciResources& resources) const;
  void keep_undelegated(const OciResources& resources);
  void write_visible_values();

  CgroupState state_;
  CgroupHost host_;
  bool fresh_ = false;  // made by create(): the delegated v1 directories do not exist yet
  std::vector<VisibleValue> visible_;
  std::string slice_;  // systemd's driver, until create()
  std::vector<UnitProperty> unit_properties_;
  ScopeKeeper keeper_;
};

}  // namespace sysbox::runc

#pragma once

// All that the helper and the container's init need, decided and opened before either exists.

#include <optional>
#include <string>
#include <vector>

#include "common/mount_pieces.h"
#include "common/unique_fd.h"
#include "runc-ext/cgroup/cgroup.h"
#include "runc-ext/init/initial_files.h"
#include "runc-ext/init/mount_plan.h"
#include "runc-ext/oci/spec.h"
#include "runc-ext/oci/state_json.h"
#include "runc-ext/system_container/joined_namespaces.h"
#include "runc-ext/uid_shift/overlay_layers.h"

namespace sysbox::runc {

struct BirthPlan {
  OciSpec spec;             // converted, with id maps
  JoinedNamespaces joined;  // what the spec names by path
  std::string id;
  uid_t root_uid = 0;  // of the container's root, on the host
  gid_t root_gid = 0;
  std::optional<OverlayLayers> overlay;  // of the rootfs
  MountPlan mounts;
  std::vector<std::string> open_doors;  // of seccomp_doors.h
  std::vector<InitialFile> initial_files;
  bool shares_mounts = false;           // with the mount namespaces that are made inside
  int emulated_tree = -1;               // detached mount of the registration, borrowed
  std::vector<MountPiece> proc_pieces;  // from it
  std::vector<MountPiece> sysfs_pieces;
  CgroupHost cgroup_host;
  CgroupState cgroup;
  CgroupEntrance cgroup_entrance;
  OciState state;                     // for the hooks that run inside
  UniqueFd exec_fifo;                 // O_PATH; the FIFO that holds init back
  std::optional<UniqueFd> host_proc;  // for security_label.h
  int lock_fd = -1;  // the container's lock: a child that kept it open would hold it
  int preserve_fds = 0;
  bool new_keyring = true;
};

// A network namespace's first files in sysfs (/sys/class/net/lo) get the owner that its user
// namespace has a host's id for at that moment: with both made by one clone, nobody. So the init
// makes it, once the maps are written. What has been joined has its maps.
inline bool init_makes_network(const BirthPlan& plan) {
  return !plan.joined.user && plan.joined.find(NamespaceType::kNetwork) == nullptr;
}

}  // namespace sysbox::runc

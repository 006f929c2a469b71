#pragma once

// The locked part of a container's mount tree, made by the helper in a private mount namespace of
// the host's user namespace, and the detached mounts that init attaches afterwards.

#include <vector>

#include "common/result.h"
#include "common/root_dir.h"
#include "common/unique_fd.h"
#include "runc-ext/init/birth_plan.h"

namespace sysbox::runc {

// Namespaces of the container's init, for what is mounted on its behalf.
struct InitNamespaces {
  UniqueFd user;
  UniqueFd pid;
};

// True if sysctls of the spec are to be written that its read-only paths cover.
bool needs_writable_sysctls(const BirthPlan& plan);

// A detached mount and where it belongs.
struct PlacedMount {
  UniqueFd mount;
  UniqueFd place;
};

struct AssembledRootfs {
  RootDir root;
  // The container's own overlay alone, detached; for who has to see it from outside.
  UniqueFd overlay;
  UniqueFd sysctls;  // a detached copy of /proc/sys without read-only paths, if one is needed
  std::vector<PlacedMount> removable;
};

// The rootfs with shifted ids, all locked mounts, masked and read-only paths.
// The caller is in a private mount namespace and in the container's network namespace, which
// decides what /sys/class/net and /proc/sys/net are, and has the container root's
// FilesystemIdentity.
Result<AssembledRootfs> assemble_rootfs(const BirthPlan& plan, const InitNamespaces& namespaces);

// One detached mount for each free mount that the host has to make (binds, /dev), in order.
Result<std::vector<UniqueFd>> prepare_free_mounts(const BirthPlan& plan, const RootDir& root,
                                                  const InitNamespaces& namespaces);
// Whether prepare_free_mounts() makes it; all others are made by init.
bool is_made_by_host(const BirthPlan& plan, const OciMount& mount);

// Makes `root` the mount namespace's root and drops the old one.
Result<void> pivot_into(const RootDir& root);

// What is mounted on `root` from now on comes to be in copies of the mount namespace as well; a
// copy of another user namespace gets it with its flags locked, and may unmount it.
Result<void> share_root(const RootDir& root);
// Attaches them, and is the end of that.
Result<void> attach_removable(const RootDir& root, const std::vector<PlacedMount>& mounts);

}  // namespace sysbox::runc

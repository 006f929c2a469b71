#pragma once

// An ordinary OCI spec → a system container's spec. Changes nothing but the spec; reads the image
// through `rootfs`, and the device nodes that the spec binds.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/id_range.h"
#include "common/result.h"
#include "common/root_dir.h"
#include "runc-ext/init/initial_files.h"
#include "runc-ext/oci/spec.h"
#include "runc-ext/system_container/switches.h"

namespace sysbox::runc {

// What the spec has no words for.
struct Conversion {
  Switches switches;
  std::vector<InitialFile> initial_files;
  bool shares_mounts = false;   // see BirthPlan
  bool shows_hardware = false;  // of the host, in /sys and /proc
};

// Checks and completes the spec, in place, as its switches say; `rootfs` tells whether the program
// is systemd, and which:
//  - refuses what would share the host's namespaces or break isolation, by name: pid, network,
//    mount, ipc and uts namespaces must be in the spec (absent means the host's);
//  - adds user and cgroup namespaces where the spec has none;
//  - checks given id mappings: one block of at least 1000 ids from container id 0, without host
//    id 0; both absent: the caller fills them in;
//  - "all devices" become those that are safe, and the ones asked for by number;
//  - instead of an engine's default capabilities all for root, the bounding set for others;
//    a set that somebody chose stays; no AppArmor profile;
//  - default mounts of a machine (/proc /sys /sys/fs/cgroup /dev /dev/pts /dev/shm /dev/mqueue,
//    /run and /run/lock for systemd, /run and /tmp over a read-only rootfs) unless the spec mounts
//    something of its own there; /proc, /sys and /sys/fs/cgroup writable unless the rootfs is
//    read-only; a mount below another comes after it;
//  - masked and read-only paths: those that stand in the way of a machine's root go;
//  - container= for systemd;
//  - the seccomp profile widened to what systemd, engines and Kubernetes need inside.
Result<Conversion> convert_to_system_container(OciSpec& spec, const RootDir& rootfs);

// The same for a process that joins a container of these annotations, whose own process has
// `container_env`. Of the switches only honor-capabilities can be set for one process.
Result<Switches> convert_joining_process(OciProcess& process,
                                         const std::map<std::string, std::string>& annotations,
                                         const std::vector<std::string>& container_env);

// What a process of a system container gets instead of an engine's default; exec too.
OciCapabilities system_container_capabilities(std::uint32_t container_uid);

}  // namespace sysbox::runc

#pragma once

// Builds procfs and sysfs mounts that carry a container's emulated pieces, for the mounts that
// are made inside it (by the container's root, by nested containers).

#include <atomic>
#include <functional>
#include <memory>

#include "fs-emulator/container.h"
#include "seccomp-notify/container_actions.h"

namespace sysbox::fs {

// What newer kernels can do; found out by trying, once. Tests forbid it to go the older ways.
struct KernelAbilities {
  std::atomic<bool> procfs_of_namespace{true};  // option "pidns" (Linux 6.17)
  std::atomic<bool> attach_to_detached{true};   // mounts on a detached tree (6.15)
  std::atomic<bool> clone_detached{true};       // clones of a detached tree (6.15)
};
KernelAbilities& kernel_abilities();

// What is asked about the container at the moment of a call.
struct LiveFacts {
  // The container as the task with that number on the host sees it.
  std::function<Result<seccomp::SystemInformation>(int pid_on_host)> system_information;
  std::function<std::size_t(int pid_on_host)> cpu_count;
  // Of its first process.
  std::function<Result<UniqueFd>()> network_namespace;
  std::function<Result<ino_t>()> mount_namespace;
};

// The actions of one container for the notifier; keeps what it is given alive. Before Linux 6.15
// it gives the tree a place in a mount namespace of its own with the first mount that is made,
// so no one else may attach it: others need clones of their own.
std::shared_ptr<seccomp::ContainerActions> make_container_actions(
    std::shared_ptr<const ContainerIdentity> identity, std::shared_ptr<const EmulatedTree> tree,
    LiveFacts facts);

}  // namespace sysbox::fs

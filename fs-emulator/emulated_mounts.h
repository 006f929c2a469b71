#pragma once

// Builds procfs and sysfs mounts that carry a container's emulated pieces, for the mounts that
// are made inside it (by the container's root, by nested containers).

#include <memory>

#include "fs-emulator/container.h"
#include "seccomp-notify/container_actions.h"

namespace sysbox::fs {

// The actions of one container for the notifier; keeps what it is given alive.
std::shared_ptr<seccomp::ContainerActions> make_container_actions(
    std::shared_ptr<const ContainerIdentity> identity, std::shared_ptr<const EmulatedTrees> trees);

}  // namespace sysbox::fs

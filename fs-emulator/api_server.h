#pragma once

// io.sysbox.emulator served: messages in, ContainerRegistry called, messages out. Logs what fails.

#include "common/varlink.h"
#include "fs-emulator/container_registry.h"

namespace sysbox::fs {

// `registry` must outlive the server.
void add_emulator_interface(varlink::Server& server, ContainerRegistry& registry,
                            seccomp::NotifyLoop& notify_loop);

}  // namespace sysbox::fs

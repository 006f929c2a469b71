#pragma once

// io.sysbox.manager served: messages in, Containers called, messages out. Logs what fails.

#include "common/varlink.h"
#include "mgr/containers.h"
#include "mgr/parked_descriptors.h"

namespace sysbox::mgr {

// Both must outlive the server.
void add_manager_interface(varlink::Server& server, Containers& containers,
                           ParkedDescriptors& parked);

}  // namespace sysbox::mgr

#pragma once

// io.sysbox.manager served: messages in, Containers called, messages out. Logs what fails.

#include "common/varlink.h"
#include "mgr/containers.h"

namespace sysbox::mgr {

// `containers` must outlive the server.
void add_manager_interface(varlink::Server& server, Containers& containers);

}  // namespace sysbox::mgr

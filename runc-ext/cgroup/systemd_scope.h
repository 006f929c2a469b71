#pragma once

#include <string>

#include "common/result.h"

namespace sysbox::runc {

// Stops a container's scope, if it is still there, and with it every process in it.
Result<void> stop_scope(const std::string& unit);

}  // namespace sysbox::runc

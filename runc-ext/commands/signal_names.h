#pragma once

#include <string>

#include "common/result.h"

namespace sysbox::runc {

// The number of "9", "KILL", "SIGKILL", "sigkill", "RTMIN+3" or "SIGRTMAX-1"; 0 only asks
// whether the process exists.
Result<int> parse_signal(const std::string& text);

}  // namespace sysbox::runc

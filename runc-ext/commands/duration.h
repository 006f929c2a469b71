#pragma once

#include <chrono>
#include <string_view>

#include "common/result.h"

namespace sysbox::runc {

// "5s", "100ms", "1m30s", "1.5h": a length of time as Go's programs take it.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

}  // namespace sysbox::runc

#pragma once

#include <string_view>

#include "common/id_range.h"

namespace sysbox {

// The text of a /proc/PID/uid_map or gid_map. Lines that are none are left out.
IdMap parse_id_map_text(std::string_view text);

}  // namespace sysbox

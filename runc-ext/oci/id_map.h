#pragma once

// Lists of id mappings: linux.uidMappings, and those of single mounts.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "common/id_range.h"
#include "common/result.h"

namespace sysbox::runc {

// Refuses what the kernel would: empty or overlapping lines, ids past 32 bits, over 340 lines.
Result<IdMap> parse_id_map(const nlohmann::json& mappings, const std::string& path);

}  // namespace sysbox::runc

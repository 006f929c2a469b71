#pragma once

// An IdRange as JSON, in messages and records alike: {"first": 231072, "count": 65536}.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "common/id_range.h"
#include "common/result.h"

namespace sysbox {

nlohmann::json to_json(const IdRange& range);
// Refuses an empty range, and one with an id that cannot be mapped. `path` names the object in
// errors.
Result<IdRange> parse_id_range(const nlohmann::json& json, const std::string& path);

}  // namespace sysbox

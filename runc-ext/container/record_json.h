#pragma once

// ContainerRecord ↔ the text of state.json.

#include <string>
#include <string_view>

#include "common/result.h"
#include "runc-ext/container/state_dir.h"

namespace sysbox::runc {

std::string record_text(const ContainerRecord& record);

// EINVAL names the JSON path of a mistake; ENOTSUP: written by a newer version.
Result<ContainerRecord> parse_record(std::string_view text);

}  // namespace sysbox::runc

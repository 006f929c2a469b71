#pragma once

// ContainerRecord ↔ the text of state.json, and what others are told of it.

#include <string>
#include <string_view>

#include "common/result.h"
#include "runc-ext/container/state_dir.h"
#include "runc-ext/oci/state_json.h"

namespace sysbox::runc {

std::string record_text(const ContainerRecord& record);

// EINVAL names the JSON path of a mistake; ENOTSUP: written by a newer version.
Result<ContainerRecord> parse_record(std::string_view text);

// The state as hooks and people see it.
OciState state_of(const ContainerRecord& record, ContainerStatus status);

}  // namespace sysbox::runc

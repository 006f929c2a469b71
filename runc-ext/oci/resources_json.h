#pragma once

// linux.resources back to JSON, as parse_resources() reads it: `update` needs to know what a
// container was given before.

#include <nlohmann/json_fwd.hpp>

#include "runc-ext/oci/resources.h"

namespace sysbox::runc {

// Without the devices, which an update does not change.
nlohmann::json resources_json(const OciResources& resources);

}  // namespace sysbox::runc

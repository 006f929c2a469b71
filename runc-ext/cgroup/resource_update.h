#pragma once

// What `update` makes of the limits that a container has and those that it is to get.

#include "runc-ext/oci/resources.h"

namespace sysbox::runc {

// What is asked for, completed with what it cannot be understood without: memory and swap limit
// go together, and so do cpu quota and period.
OciResources resources_to_apply(const OciResources& has, const OciResources& asked);

// All that the container has afterwards.
OciResources resources_to_keep(const OciResources& has, const OciResources& asked);

}  // namespace sysbox::runc

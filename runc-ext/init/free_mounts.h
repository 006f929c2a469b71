#pragma once

// What the container's init mounts itself, as root of its own user namespace and inside its own
// mount namespace: nothing here can reach the host, whatever links the image holds.

#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "runc-ext/init/birth_plan.h"

namespace sysbox::runc {

// Attaches all free mounts in order. `from_host`: what prepare_free_mounts() made, in its order.
Result<void> make_free_mounts(const BirthPlan& plan, std::vector<UniqueFd> from_host);

}  // namespace sysbox::runc

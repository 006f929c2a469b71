#pragma once

// The end of a container, or of what a failed `create` has made of one.

#include "common/result.h"
#include "runc-ext/container/container.h"

namespace sysbox::runc {

// Takes away all that belongs to a container that does not run: cgroups, registrations, state.
// Goes on after a failure and returns the first one.
Result<void> destroy_container(const RuntimeOptions& runtime, const StateDir& directory,
                               const ContainerRecord& record);

// After the container is gone; failures are only logged, as the specification wants it.
void run_poststop_hooks(const ContainerRecord& record);

}  // namespace sysbox::runc

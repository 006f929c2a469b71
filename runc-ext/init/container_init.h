#pragma once

// The container's first process between its clone and its program.

#include "runc-ext/init/birth_plan.h"
#include "runc-ext/init/channel.h"

namespace sysbox::runc {

// Runs in the new process; reports a failure to both and exits.
[[noreturn]] void run_container_init(const BirthPlan& plan, Channel& helper, Channel& parent);

}  // namespace sysbox::runc

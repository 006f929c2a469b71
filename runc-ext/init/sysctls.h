#pragma once

// linux.sysctl: the kernel settings of a new container.

#include "common/result.h"
#include "runc-ext/init/birth_plan.h"

namespace sysbox::runc {

// By the container's init, in all its namespaces. What is neither a namespace's own nor kept for
// the container by sysbox-fs is refused by name: it would be the host's.
// `writable`: a copy of /proc/sys without the spec's read-only paths, if there is one.
Result<void> set_sysctls(const BirthPlan& plan, UniqueFd writable);

}  // namespace sysbox::runc

#pragma once

// Namespaces that an engine made under the host's user namespace before it called us: a network
// namespace of Podman's or of a pod without a user namespace. The container's root has no rights
// over them, so what the spec wants of them is done for it, from outside.

#include <string>

#include "common/result.h"
#include "runc-ext/init/birth_plan.h"

namespace sysbox::runc {

// Names and sysctls of the spec. The caller has joined all of plan.joined and still is the host's
// root, with the host's /proc.
Result<void> set_up_foreign_namespaces(const BirthPlan& plan);

// The spec's hostname and domainname, in the caller's UTS namespace.
Result<void> set_names(const OciSpec& spec);

// Whether set_up_foreign_namespaces() sets it; all others are set from inside.
bool is_foreign_sysctl(const BirthPlan& plan, const std::string& path);

}  // namespace sysbox::runc

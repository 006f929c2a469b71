#pragma once

// process.apparmorProfile and process.selinuxLabel: what a program is confined by from its execve
// on.

#include <optional>

#include "common/result.h"
#include "common/unique_fd.h"
#include "runc-ext/oci/process.h"

namespace sysbox::runc {

// On the host, before anything is made: ENOTSUP if what is asked for is not there. The host's
// /proc if it will be needed: the container's own may hide anything under these names
// (CVE-2019-16884), and the kernel wants the files written by the process itself.
Result<std::optional<UniqueFd>> prepare_security_labels(const OciProcess& process);

// By the process itself; counts from its next execve on.
Result<void> take_security_labels(const OciProcess& process,
                                  const std::optional<UniqueFd>& host_proc);

}  // namespace sysbox::runc

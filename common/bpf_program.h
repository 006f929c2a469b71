#pragma once

// Seccomp filters, written out instruction by instruction: libseccomp 2.5.4 (Debian 12) makes wrong
// ones as soon as x32 is among the architectures, since it compares the architecture with system
// call numbers.

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/result.h"

namespace sysbox {

using BpfProgram = std::vector<struct sock_filter>;

// What the next tests look at: 32 bits of struct seccomp_data, the lower half of an argument.
void load(BpfProgram& program, std::size_t offset_in_seccomp_data);
// Ends it with a SECCOMP_RET_… value.
void answer(BpfProgram& program, std::uint32_t action);
// Runs `body`, which must end with an answer, if what is loaded equals `value`; else goes on
// behind it.
void if_equal(BpfProgram& program, std::uint32_t value, const BpfProgram& body);

// Loads it into the calling process, for all that it executes later; `flags`: of seccomp(2). What
// the system call returns: a descriptor with SECCOMP_FILTER_FLAG_NEW_LISTENER, else 0. Needs
// CAP_SYS_ADMIN in its user namespace or no_new_privs.
Result<long> install_filter(const BpfProgram& program, unsigned long flags);

}  // namespace sysbox

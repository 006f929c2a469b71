#pragma once

// From a notification to its handler, by the table of trapped calls.

#include <memory>
#include <optional>

#include "seccomp-notify/notify_loop.h"
#include "seccomp-notify/tracee.h"

namespace sysbox::seccomp {

// Which row of the table a system call of that architecture (AUDIT_ARCH_*) belongs to.
const TrappedSyscall* find_trapped_syscall(std::uint32_t architecture, int number);
std::optional<TrappedCall> find_trapped_call(std::uint32_t architecture, int number);

// The handlers as they run in sysbox-fs. `host` has to outlive the loop.
MakeHandler make_call_handlers(std::shared_ptr<const HostView> host);

}  // namespace sysbox::seccomp

#pragma once

// Which system calls are trapped, and in what words their outcome is told. The filter and the
// dispatch to handlers both derive from the table in trapped_syscalls.cc.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "common/unique_fd.h"

namespace sysbox::seccomp {

enum class TrappedCall {
  kMount,
  kUmount,
  kOldUmount,
  kMknod,
  kMknodat,
  kSysinfo,
  kSchedGetaffinity,
  kFsopen,
  kFsmount,
  kFsconfig,
  kOpenTree,
  kOpenTreeAttr,
  kMountSetattr,
  kLandlockRestrictSelf,
};

// A condition on one argument: (argument & mask) == value.
struct ArgumentRule {
  unsigned argument = 0;
  std::uint64_t mask = 0;
  std::uint64_t value = 0;
};

struct TrappedSyscall {
  const char* name;  // on any architecture; left out where it does not exist
  TrappedCall call;
  // The call is trapped if one of the rules holds; always if there is none. The kernel's own
  // answer must be right for every call that the rules leave out.
  std::span<const ArgumentRule> trapped_if;
  // Its number where libseccomp does not know the name yet; new calls have the same everywhere.
  int new_number = -1;
};

std::span<const TrappedSyscall> trapped_syscalls();

// A row of the table on one architecture.
struct ArchitectureCall {
  std::uint32_t architecture = 0;  // AUDIT_ARCH_*, as notifications and filters see it
  std::uint32_t number = 0;
  const TrappedSyscall* trapped = nullptr;
};
// For all architectures that this kernel may run: 64-bit, 32-bit and x32 programs. Grouped by
// architecture.
std::vector<ArchitectureCall> resolve_trapped_syscalls();

// How the kernel is to finish a trapped call. A handler returns one; only the loop answers, so
// each call is answered once.
struct LetKernelRunIt {};  // never a security decision: the arguments may change meanwhile
struct FailWith {
  int code;
};
struct SucceedWith {
  std::int64_t value;
};
// The caller gets a copy of the descriptor, whose number the call returns. Or, `in_place_of` one
// that it has, whose number stays; then the call returns 0.
struct GiveDescriptor {
  std::shared_ptr<const UniqueFd> fd;
  bool close_on_exec = true;
  std::optional<int> in_place_of = std::nullopt;
};
using Verdict = std::variant<LetKernelRunIt, FailWith, SucceedWith, GiveDescriptor>;

}  // namespace sysbox::seccomp

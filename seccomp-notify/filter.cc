#include "seccomp-notify/filter.h"

#include <linux/seccomp.h>

#include <cstddef>
#include <vector>

#include "common/bpf_program.h"
#include "seccomp-notify/trapped_syscall.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

namespace sysbox::seccomp {
namespace {

// The rules test flags that all lie in the lower half of an argument.
BpfProgram test_arguments(const TrappedSyscall& trapped) {
  BpfProgram program;
  BpfProgram notify;
  answer(notify, SECCOMP_RET_USER_NOTIF);
  if (trapped.trapped_if.empty()) return notify;
  for (const ArgumentRule& rule : trapped.trapped_if) {
    load(program, offsetof(struct seccomp_data, args) + rule.argument * sizeof(std::uint64_t));
    program.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, static_cast<std::uint32_t>(rule.mask)));
    if_equal(program, static_cast<std::uint32_t>(rule.value), notify);
  }
  answer(program, SECCOMP_RET_ALLOW);
  return program;
}

BpfProgram build_program() {
  BpfProgram program;
  const std::vector<ArchitectureCall> calls = resolve_trapped_syscalls();
  for (std::size_t i = 0; i < calls.size();) {
    const std::uint32_t architecture = calls[i].architecture;
    BpfProgram numbers;
    load(numbers, offsetof(struct seccomp_data, nr));
    for (; i < calls.size() && calls[i].architecture == architecture; ++i) {
      if_equal(numbers, calls[i].number, test_arguments(*calls[i].trapped));
    }
    answer(numbers, SECCOMP_RET_ALLOW);
    load(program, offsetof(struct seccomp_data, arch));
    if_equal(program, architecture, numbers);
  }
  answer(program, SECCOMP_RET_ALLOW);
  return program;
}

}  // namespace

Result<UniqueFd> load_notify_filter() {
  const BpfProgram program = build_program();
  // A caller whose call is being carried out must not be woken by a signal that it handles (Go
  // programs get one every 10 ms): the call would be restarted and done twice. Linux 5.19.
  constexpr unsigned long kFlags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
  Result<long> fd = install_filter(program, kFlags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
  if (!fd.ok() && fd.error().code() == EINVAL) fd = install_filter(program, kFlags);
  return UniqueFd(static_cast<int>(TRY(std::move(fd).in("load the notify filter"))));
}

}  // namespace sysbox::seccomp

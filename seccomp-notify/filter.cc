#include "seccomp-notify/filter.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cstddef>
#include <vector>

#include "seccomp-notify/trapped_syscall.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

namespace sysbox::seccomp {
namespace {

using Program = std::vector<struct sock_filter>;

static_assert(std::endian::native == std::endian::little, "the low half of an argument is first");

void load(Program& program, std::size_t offset_in_seccomp_data) {
  program.push_back(
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset_in_seccomp_data)));
}

void answer(Program& program, std::uint32_t action) {
  program.push_back(BPF_STMT(BPF_RET | BPF_K, action));
}

// Runs `body` if what is loaded equals `value`, else goes on behind it.
void if_equal(Program& program, std::uint32_t value, const Program& body) {
  const auto length = static_cast<std::uint8_t>(body.size());
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, length));
  program.insert(program.end(), body.begin(), body.end());
}

// The rules test flags that all lie in the lower half of an argument.
Program test_arguments(const TrappedSyscall& trapped) {
  Program program;
  Program notify;
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

Program build_program() {
  Program program;
  const std::vector<ArchitectureCall> calls = resolve_trapped_syscalls();
  for (std::size_t i = 0; i < calls.size();) {
    const std::uint32_t architecture = calls[i].architecture;
    Program numbers;
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

// The program is written out here because libseccomp 2.5.4 (Debian 12) makes a wrong one of
// these rules as soon as x32 is added: it compares the architecture with system call numbers.
Result<UniqueFd> load_notify_filter() {
  Program program = build_program();
  struct sock_fprog loaded {};
  loaded.len = static_cast<unsigned short>(program.size());
  loaded.filter = program.data();
  // A caller whose call is being carried out must not be woken by a signal that it handles (Go
  // programs get one every 10 ms): the call would be restarted and done twice. Linux 5.19.
  const auto load_with = [&loaded](unsigned long flags) {
    return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | flags,
                     &loaded);
  };
  long fd = load_with(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
  if (fd < 0 && errno == EINVAL) fd = load_with(0);
  if (fd < 0) return last_error("load the seccomp notify filter");
  return UniqueFd(static_cast<int>(fd));
}

}  // namespace sysbox::seccomp

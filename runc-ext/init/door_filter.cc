#include "runc-ext/init/door_filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "common/bpf_program.h"
#include "runc-ext/system_container/seccomp_doors.h"

namespace sysbox::runc {
namespace {

struct Architecture {
  std::uint32_t in_kernel;
  std::array<std::uint32_t, 2> in_libseccomp;  // told apart by a bit of the number only
};
constexpr std::array kArchitectures = {
#if defined(__x86_64__)
    Architecture{AUDIT_ARCH_X86_64, {SCMP_ARCH_X86_64, SCMP_ARCH_X32}},
    Architecture{AUDIT_ARCH_I386, {SCMP_ARCH_X86, SCMP_ARCH_X86}},
#elif defined(__aarch64__)
    Architecture{AUDIT_ARCH_AARCH64, {SCMP_ARCH_AARCH64, SCMP_ARCH_AARCH64}},
    Architecture{AUDIT_ARCH_ARM, {SCMP_ARCH_ARM, SCMP_ARCH_ARM}},
#else
#error "no table of architectures for this machine"
#endif
};

// A closed call: what is refused of it, for all doors that it is part of.
struct ClosedCall {
  std::string name;
  BpfProgram refusals;
};

void add_refusals(BpfProgram& program, const DoorCall& call, std::uint32_t action) {
  if (call.values.empty()) return answer(program, action);
  load(program, offsetof(struct seccomp_data, args) + call.argument * sizeof(std::uint64_t));
  program.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, call.mask));
  for (const std::uint32_t value : call.values) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
    answer(program, action);
  }
}

std::vector<ClosedCall> closed_calls(const std::vector<std::string>& open_doors) {
  std::vector<ClosedCall> closed;
  for (const SeccompDoor& door : seccomp_doors()) {
    const bool open =
        std::find(open_doors.begin(), open_doors.end(), door.name) != open_doors.end();
    if (open || door.closed_by != ClosedBy::kUs) continue;
    for (const DoorCall& call : door.calls) {
      auto place = std::find_if(closed.begin(), closed.end(), [&call](const ClosedCall& other) {
        return other.name == call.name;
      });
      if (place == closed.end()) place = closed.insert(place, ClosedCall{call.name, {}});
      const auto error = static_cast<std::uint32_t>(call.error.value_or(door.error));
      add_refusals(place->refusals, call, SECCOMP_RET_ERRNO | (error & SECCOMP_RET_DATA));
    }
  }
  for (ClosedCall& call : closed) answer(call.refusals, SECCOMP_RET_ALLOW);
  return closed;
}

BpfProgram program_for(const Architecture& architecture, const std::vector<ClosedCall>& closed) {
  BpfProgram program;
  load(program, offsetof(struct seccomp_data, nr));
  for (const ClosedCall& call : closed) {
    std::vector<int> numbers;
    for (const std::uint32_t name : architecture.in_libseccomp) {
      // Negative: libseccomp's own number for a call that the architecture does not have.
      const int number = seccomp_syscall_resolve_name_arch(name, call.name.c_str());
      const bool known = std::find(numbers.begin(), numbers.end(), number) != numbers.end();
      if (number < 0 || known) continue;
      numbers.push_back(number);
      if_equal(program, static_cast<std::uint32_t>(number), call.refusals);
    }
  }
  answer(program, SECCOMP_RET_ALLOW);
  return program;
}

}  // namespace

Result<void> load_door_filter(const std::vector<std::string>& open_doors) {
  const std::vector<ClosedCall> closed = closed_calls(open_doors);
  BpfProgram program;
  load(program, offsetof(struct seccomp_data, arch));
  for (const Architecture& architecture : kArchitectures) {
    if_equal(program, architecture.in_kernel, program_for(architecture, closed));
  }
  answer(program, SECCOMP_RET_ALLOW);
  TRY(install_filter(program, 0).in("load the filter of closed doors"));
  return {};
}

}  // namespace sysbox::runc

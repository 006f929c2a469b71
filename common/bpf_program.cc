#include "common/bpf_program.h"

#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <limits>

namespace sysbox {

static_assert(std::endian::native == std::endian::little, "the low half of an argument is first");

void load(BpfProgram& program, std::size_t offset_in_seccomp_data) {
  program.push_back(
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset_in_seccomp_data)));
}

void answer(BpfProgram& program, std::uint32_t action) {
  program.push_back(BPF_STMT(BPF_RET | BPF_K, action));
}

void if_equal(BpfProgram& program, std::uint32_t value, const BpfProgram& body) {
  // A conditional jump reaches 255 instructions: it leads over a longer one.
  const bool within_reach = body.size() <= std::numeric_limits<std::uint8_t>::max();
  if (within_reach) {
    const auto length = static_cast<std::uint8_t>(body.size());
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, length));
  } else {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
    program.push_back(BPF_STMT(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(body.size())));
  }
  program.insert(program.end(), body.begin(), body.end());
}

Result<long> install_filter(const BpfProgram& program, unsigned long flags) {
  struct sock_fprog loaded {};
  loaded.len = static_cast<unsigned short>(program.size());
  loaded.filter = const_cast<struct sock_filter*>(program.data());  // the kernel copies it
  const long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &loaded);
  if (result < 0) return last_error("seccomp(SET_MODE_FILTER)");
  return result;
}

}  // namespace sysbox

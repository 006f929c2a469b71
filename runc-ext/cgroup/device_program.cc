#include "runc-ext/cgroup/device_program.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>

#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

// Registers as the program uses them; 1 holds the context at the start and is scratch later.
enum Register : std::uint8_t {
  kResult = 0,
  kContext = 1,
  kScratch = 1,
  kType = 2,
  kAccess = 3,
  kMajor = 4,
  kMinor = 5
};

constexpr std::int32_t kAllWays = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

class Program {
 public:
  void load_context(Register to, std::size_t offset) {
    add(BPF_LDX | BPF_MEM | BPF_W, to, kContext, static_cast<std::int16_t>(offset), 0);
  }
  void copy(Register to, Register from) { add(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0); }
  void and_with(Register reg, std::int32_t value) {
    add(BPF_ALU64 | BPF_AND | BPF_K, reg, 0, 0, value);
  }
  void shift_right(Register reg, std::int32_t bits) {
    add(BPF_ALU64 | BPF_RSH | BPF_K, reg, 0, 0, bits);
  }
  // Jumps to the next rule, whose place is known at end_rule().
  void next_rule_unless_equal(Register reg, std::int32_t value) { jump(BPF_JNE, reg, value); }
  void next_rule_if_equal(Register reg, std::int32_t value) { jump(BPF_JEQ, reg, value); }
  void answer(bool allow) {
    add(BPF_ALU64 | BPF_MOV | BPF_K, kResult, 0, 0, allow ? 1 : 0);
    add(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }
  void end_rule() {
    for (const std::size_t at : jumps_) {
      code_[at].off = static_cast<std::int16_t>(code_.size() - at - 1);
    }
    jumps_.clear();
  }
  std::vector<bpf_insn> take() && { return std::move(code_); }

 private:
  void jump(int condition, Register reg, std::int32_t value) {
    jumps_.push_back(code_.size());
    // 32-bit: major and minor are unsigned, and an immediate is sign-extended for 64 bits.
    add(BPF_JMP32 | condition | BPF_K, reg, 0, 0, value);
  }
  void add(int code, int to, int from, std::int16_t offset, std::int32_t value) {
    bpf_insn instruction = {};
    instruction.code = static_cast<std::uint8_t>(code);
    instruction.dst_reg = static_cast<std::uint8_t>(to) & 0xF;
    instruction.src_reg = static_cast<std::uint8_t>(from) & 0xF;
    instruction.off = offset;
    instruction.imm = value;
    code_.push_back(instruction);
  }
  std::vector<bpf_insn> code_;
  std::vector<std::size_t> jumps_;
};

std::int32_t access_bits(const std::string& access) {
  std::int32_t bits = 0;
  for (const char way : access) {
    if (way == 'r') bits |= BPF_DEVCG_ACC_READ;
    if (way == 'w') bits |= BPF_DEVCG_ACC_WRITE;
    if (way == 'm') bits |= BPF_DEVCG_ACC_MKNOD;
  }
  return bits;
}

void add_exception(Program& program, const DeviceException& exception, bool allow) {
  program.next_rule_unless_equal(kType,
                                 exception.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
  const std::int32_t bits = access_bits(exception.access);
  if (bits != kAllWays) {
    // Allowed if nothing else is asked for; denied if anything of it is.
    program.copy(kScratch, kAccess);
    program.and_with(kScratch, allow ? kAllWays & ~bits : bits);
    if (allow) {
      program.next_rule_unless_equal(kScratch, 0);
    } else {
      program.next_rule_if_equal(kScratch, 0);
    }
  }
  if (exception.major != kAnyDevice) {
    program.next_rule_unless_equal(kMajor, static_cast<std::int32_t>(exception.major));
  }
  if (exception.minor != kAnyDevice) {
    program.next_rule_unless_equal(kMinor, static_cast<std::int32_t>(exception.minor));
  }
  program.answer(allow);
  program.end_rule();
}

int bpf(int command, bpf_attr& attributes) {
  return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof(attributes)));
}

std::uint64_t address(const void* pointer) {
  return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(pointer));
}

Result<UniqueFd> load(const std::vector<bpf_insn>& code) {
  bpf_attr attributes = {};
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = address(code.data());
  attributes.insn_cnt = static_cast<std::uint32_t>(code.size());
  attributes.license = address("Apache-2.0");
  UniqueFd program(bpf(BPF_PROG_LOAD, attributes));
  if (!program) return last_error("bpf(PROG_LOAD) of ", code.size(), " instructions");
  return program;
}

// At most this many are replaced; the kernel itself allows 64.
using ProgramIds = std::array<std::uint32_t, 64>;

Result<std::size_t> attached_programs(int cgroup_fd, ProgramIds& ids) {
  bpf_attr attributes = {};
  attributes.query.target_fd = static_cast<std::uint32_t>(cgroup_fd);
  attributes.query.attach_type = BPF_CGROUP_DEVICE;
  attributes.query.prog_ids = address(ids.data());
  attributes.query.prog_cnt = static_cast<std::uint32_t>(ids.size());
  if (bpf(BPF_PROG_QUERY, attributes) != 0) return last_error("bpf(PROG_QUERY)");
  return std::size_t{attributes.query.prog_cnt};
}

Result<void> attach(int cgroup_fd, int program_fd) {
  bpf_attr attributes = {};
  attributes.target_fd = static_cast<std::uint32_t>(cgroup_fd);
  attributes.attach_bpf_fd = static_cast<std::uint32_t>(program_fd);
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  if (bpf(BPF_PROG_ATTACH, attributes) != 0) return last_error("bpf(PROG_ATTACH)");
  return {};
}

Result<void> detach(int cgroup_fd, std::uint32_t id) {
  bpf_attr by_id = {};
  by_id.prog_id = id;
  const UniqueFd program(bpf(BPF_PROG_GET_FD_BY_ID, by_id));
  if (!program) return last_error("bpf(PROG_GET_FD_BY_ID)");
  bpf_attr attributes = {};
  attributes.target_fd = static_cast<std::uint32_t>(cgroup_fd);
  attributes.attach_bpf_fd = static_cast<std::uint32_t>(program.get());
  attributes.attach_type = BPF_CGROUP_DEVICE;
  if (bpf(BPF_PROG_DETACH, attributes) != 0) return last_error("bpf(PROG_DETACH)");
  return {};
}

}  // namespace

std::vector<bpf_insn> build_device_program(const DeviceRules& rules) {
  Program program;
  // access_type: the ways in the upper half, the type in the lower.
  program.load_context(kType, offsetof(bpf_cgroup_dev_ctx, access_type));
  program.load_context(kMajor, offsetof(bpf_cgroup_dev_ctx, major));
  program.load_context(kMinor, offsetof(bpf_cgroup_dev_ctx, minor));
  program.copy(kAccess, kType);
  program.shift_right(kAccess, 16);
  program.and_with(kType, 0xFFFF);
  for (const DeviceException& exception : rules.exceptions) {
    add_exception(program, exception, !rules.allow_by_default);
  }
  program.answer(rules.allow_by_default);
  return std::move(program).take();
}

Result<void> attach_device_program(const std::string& directory, const DeviceRules& rules) {
  const std::string what = join("device rules of '", directory, "'");
  const UniqueFd cgroup = TRY(sys::open(directory, O_RDONLY | O_DIRECTORY));
  const UniqueFd program = TRY(load(build_device_program(rules)).in(what));
  ProgramIds old = {};
  const std::size_t count = TRY(attached_programs(cgroup.get(), old).in(what));
  // All attached programs must say yes, so with both the stricter holds: never a moment without.
  TRY(attach(cgroup.get(), program.get()).in(what));
  for (std::size_t i = 0; i < count; ++i) TRY(detach(cgroup.get(), old[i]).in(what));
  return {};
}

}  // namespace sysbox::runc

#include "runc-ext/init/static_seccomp.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string_view>

#include "common/bpf_program.h"
#include "common/log.h"
#include "common/syscalls.h"
#include "runc-ext/init/seccomp_prologue.h"

namespace sysbox::runc {
namespace {

struct ContextRelease {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, ContextRelease>;

constexpr std::uint32_t kDefaultErrno = EPERM;

Result<std::uint32_t> action_value(const std::string& action, std::optional<std::uint32_t> ret) {
  const std::uint32_t code = ret.value_or(kDefaultErrno);
  if (action == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (action == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(code);
  if (action == "SCMP_ACT_KILL" || action == "SCMP_ACT_KILL_THREAD") return SCMP_ACT_KILL_THREAD;
  if (action == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
  if (action == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
  if (action == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(code);
  if (action == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  if (action == "SCMP_ACT_NOTIFY") return SCMP_ACT_NOTIFY;
  return Error(EINVAL, join("linux.seccomp: action '", action, "' is not supported"));
}

struct Operator {
  std::string_view name;
  enum scmp_compare value;
};
constexpr std::array kOperators = {
    Operator{"SCMP_CMP_NE", SCMP_CMP_NE},
    Operator{"SCMP_CMP_LT", SCMP_CMP_LT},
    Operator{"SCMP_CMP_LE", SCMP_CMP_LE},
    Operator{"SCMP_CMP_EQ", SCMP_CMP_EQ},
    Operator{"SCMP_CMP_GE", SCMP_CMP_GE},
    Operator{"SCMP_CMP_GT", SCMP_CMP_GT},
    Operator{"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

Result<struct scmp_arg_cmp> comparison(const OciSeccompArg& arg) {
  for (const Operator& known : kOperators) {
    if (known.name != arg.op) continue;
    return scmp_arg_cmp{arg.index, known.value, arg.value, arg.value_two};
  }
  return Error(EINVAL, join("linux.seccomp: operator '", arg.op, "' is unknown"));
}

Result<void> add_architectures(scmp_filter_ctx context, const OciSeccomp& profile) {
  for (const std::string& name : profile.architectures) {
    const std::uint32_t arch = seccomp_architecture(name);
    if (arch == 0)
      return Error(EINVAL, join("linux.seccomp: architecture '", name, "' is unknown"));
    const int rc = seccomp_arch_add(context, arch);
    if (rc != 0 && rc != -EEXIST) return errno_error(-rc, "linux.seccomp: add ", name);
  }
  return {};
}

Result<void> add_rule(scmp_filter_ctx context, const OciSeccompRule& rule, const std::string& name,
                      std::uint32_t action) {
  const int number = seccomp_syscall_resolve_name(name.c_str());
  if (number == __NR_SCMP_ERROR) return {};
  std::vector<struct scmp_arg_cmp> comparisons;
  bool same_argument_twice = false;
  for (const OciSeccompArg& arg : rule.args) {
    for (const auto& other : comparisons) same_argument_twice |= other.arg == arg.index;
    comparisons.push_back(TRY(comparison(arg)));
  }
  // libseccomp takes one comparison for each argument in a rule; several of one argument are
  // alternatives, as runc reads them.
  if (same_argument_twice) {
    for (const auto& one : comparisons) {
      const int rc = seccomp_rule_add_array(context, action, number, 1, &one);
      if (rc != 0 && rc != -EEXIST) return errno_error(-rc, "linux.seccomp: rule for ", name);
    }
    return {};
  }
  const int rc = seccomp_rule_add_array(
      context, action, number, static_cast<unsigned>(comparisons.size()), comparisons.data());
  if (rc != 0 && rc != -EEXIST) return errno_error(-rc, "linux.seccomp: rule for ", name);
  return {};
}

// The flags that say something about a process with one thread.
Result<unsigned> filter_flags(const OciSeccomp& profile) {
  unsigned flags = asks_for_listener(profile) ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
  for (const std::string& flag : profile.flags) {
    if (flag == "SECCOMP_FILTER_FLAG_LOG") {
      flags |= SECCOMP_FILTER_FLAG_LOG;
    } else if (flag == "SECCOMP_FILTER_FLAG_SPEC_ALLOW") {
      flags |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    } else if (flag != "SECCOMP_FILTER_FLAG_TSYNC") {  // one thread: nothing to synchronise
      return Error(EINVAL, join("linux.seccomp.flags: '", flag, "' is not supported"));
    }
  }
  return flags;
}

// What libseccomp makes of the rules, behind the prologue.
Result<BpfProgram> compile(scmp_filter_ctx context, const OciSeccomp& profile) {
  const UniqueFd file(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!file) return last_error("memfd_create");
  const int rc = seccomp_export_bpf(context, file.get());
  if (rc != 0) return errno_error(-rc, "linux.seccomp: compile the filter");
  const auto bytes = static_cast<std::size_t>(TRY(sys::fstat(file.get())).st_size);
  BpfProgram program = seccomp_prologue(profile);
  const std::size_t own = program.size();
  program.resize(own + bytes / sizeof(struct sock_filter));
  if (::pread(file.get(), &program[own], bytes, 0) != static_cast<ssize_t>(bytes)) {
    return Error(EIO, "linux.seccomp: the compiled filter cannot be read back");
  }
  return program;
}

}  // namespace

Result<UniqueFd> load_seccomp_profile(const OciSeccomp& profile) {
  const std::uint32_t default_action =
      TRY(action_value(profile.default_action, profile.default_errno_ret));
  const Context context(seccomp_init(default_action));
  if (!context) return Error(ENOMEM, "linux.seccomp: out of memory");
  // A search tree instead of a list: some 400 calls are compared in 9 steps.
  seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  TRY(add_architectures(context.get(), profile));
  for (const OciSeccompRule& rule : profile.rules) {
    const std::uint32_t action = TRY(action_value(rule.action, rule.errno_ret));
    if (action == default_action) continue;  // libseccomp refuses what says nothing
    for (const std::string& name : rule.names) {
      TRY(add_rule(context.get(), rule, name, action));
    }
  }
  const unsigned flags = TRY(filter_flags(profile));
  log::debug("seccomp filter flags: ", flags);
  BpfProgram program = TRY(compile(context.get(), profile));
  if (program.size() > BPF_MAXINSNS) {
    return Error(E2BIG, join("linux.seccomp: ", program.size(), " instructions are more than ",
                             BPF_MAXINSNS));
  }
  // no_new_privs is the process's own setting.
  const long loaded = TRY(install_filter(program, flags).in("linux.seccomp"));
  return UniqueFd(asks_for_listener(profile) ? static_cast<int>(loaded) : -1);
}

}  // namespace sysbox::runc

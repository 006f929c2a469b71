#include "runc-ext/init/seccomp_prologue.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <string_view>

namespace sysbox::runc {
namespace {

constexpr std::uint32_t kX32Bit = 0x40000000;

// Since Linux 5.1 a new call has one number on all architectures (but alpha).
struct YoungCall {
  std::string_view name;
  std::uint32_t number;
};
constexpr std::array kYoungCalls = {
    YoungCall{"cachestat", 451},         YoungCall{"fchmodat2", 452},
    YoungCall{"map_shadow_stack", 453},  YoungCall{"futex_wake", 454},
    YoungCall{"futex_wait", 455},        YoungCall{"futex_requeue", 456},
    YoungCall{"statmount", 457},         YoungCall{"listmount", 458},
    YoungCall{"lsm_get_self_attr", 459}, YoungCall{"lsm_set_self_attr", 460},
    YoungCall{"lsm_list_modules", 461},  YoungCall{"mseal", 462},
    YoungCall{"setxattrat", 463},        YoungCall{"getxattrat", 464},
    YoungCall{"listxattrat", 465},       YoungCall{"removexattrat", 466},
    YoungCall{"open_tree_attr", 467},    YoungCall{"file_getattr", 468},
    YoungCall{"file_setattr", 469},
};

bool allows_by_default(const OciSeccomp& profile) {
  // A tracer decides itself what becomes of calls that it does not know.
  return profile.default_action == "SCMP_ACT_ALLOW" || profile.default_action == "SCMP_ACT_LOG" ||
         profile.default_action == "SCMP_ACT_TRACE";
}

bool always_allows(const OciSeccomp& profile, std::string_view name) {
  bool allows = false;
  for (const OciSeccompRule& rule : profile.rules) {
    if (std::find(rule.names.begin(), rule.names.end(), name) == rule.names.end()) continue;
    if (rule.action != "SCMP_ACT_ALLOW" || !rule.args.empty()) return false;
    allows = true;
  }
  return allows;
}

// The highest call that the profile names, as libseccomp numbers it for the architecture.
std::uint32_t last_call(const OciSeccomp& profile, std::uint32_t token) {
  int last = 0;
  for (const OciSeccompRule& rule : profile.rules) {
    for (const std::string& name : rule.names) {
      last = std::max(last, seccomp_syscall_resolve_name_arch(token, name.c_str()));
    }
  }
  return static_cast<std::uint32_t>(last);
}

std::vector<std::uint32_t> unknown_but_allowed(const OciSeccomp& profile) {
  std::vector<std::uint32_t> numbers;
  for (const YoungCall& call : kYoungCalls) {
    const std::string name(call.name);
    if (!always_allows(profile, name)) continue;
    if (seccomp_syscall_resolve_name(name.c_str()) == __NR_SCMP_ERROR) {
      numbers.push_back(call.number);
    }
  }
  return numbers;
}

// Code of which some jumps lead to its end, whose place is known at last.
class Code {
 public:
  void add(std::uint16_t code, std::uint32_t k, std::size_t if_true = 0, std::size_t if_false = 0) {
    code_.push_back(
        {code, static_cast<std::uint8_t>(if_true), static_cast<std::uint8_t>(if_false), k});
  }
  void load(std::size_t offset) {
    add(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
  }
  void leave() {
    to_the_end_.push_back(code_.size());
    add(BPF_JMP | BPF_JA, 0);
  }
  void give(std::uint32_t verdict) { add(BPF_RET | BPF_K, verdict); }
  void append(const Code& part) {  // `part` keeps its own way out: it ends with leave()
    for (const std::size_t at : part.to_the_end_) to_the_end_.push_back(code_.size() + at);
    code_.insert(code_.end(), part.code_.begin(), part.code_.end());
  }
  std::size_t size() const { return code_.size(); }
  std::vector<struct sock_filter> finish() && {
    for (const std::size_t at : to_the_end_) {
      code_[at].k = static_cast<std::uint32_t>(code_.size() - at - 1);
    }
    return std::move(code_);
  }

 private:
  std::vector<struct sock_filter> code_;
  std::vector<std::size_t> to_the_end_;
};

// With the call's number loaded. `bit` is part of all numbers of the architecture.
Code numbers_above(std::uint32_t last, const std::vector<std::uint32_t>& allowed,
                   std::uint32_t bit) {
  Code code;
  for (const std::uint32_t number : allowed) {
    code.add(BPF_JMP | BPF_JEQ | BPF_K, number | bit, 0, 1);
    code.give(SECCOMP_RET_ALLOW);
  }
  code.add(BPF_JMP | BPF_JGT | BPF_K, last, 0, 1);
  code.give(SECCOMP_RET_ERRNO | ENOSYS);
  code.leave();
  return code;
}

}  // namespace

std::uint32_t seccomp_architecture(const std::string& name) {
  std::string short_name;  // "SCMP_ARCH_X86_64" → "x86_64"
  for (const char c : name.substr(name.starts_with("SCMP_ARCH_") ? 10 : 0)) {
    short_name += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  return short_name == "native" ? seccomp_arch_native()
                                : seccomp_arch_resolve_name(short_name.c_str());
}

std::vector<struct sock_filter> seccomp_prologue(const OciSeccomp& profile) {
  if (allows_by_default(profile)) return {};
  std::vector<std::uint32_t> tokens = {seccomp_arch_native()};
  for (const std::string& name : profile.architectures) {
    const std::uint32_t token = seccomp_architecture(name);
    if (token != 0 && std::find(tokens.begin(), tokens.end(), token) == tokens.end()) {
      tokens.push_back(token);
    }
  }
  const std::vector<std::uint32_t> allowed = unknown_but_allowed(profile);
  Code code;
  code.load(offsetof(struct seccomp_data, arch));
  for (const std::uint32_t token : tokens) {
    const std::uint32_t last = last_call(profile, token);
    if (last == 0) continue;
    // x32 is x86-64 with a bit in the call's number.
    const bool is_x32 = token == SCMP_ARCH_X32;
    const bool shares_arch = is_x32 || token == SCMP_ARCH_X86_64;
    const Code part = numbers_above(last, allowed, is_x32 ? kX32Bit : 0);
    const std::size_t skipped = part.size() + (shares_arch ? 3 : 2);
    code.add(BPF_JMP | BPF_JEQ | BPF_K, is_x32 ? AUDIT_ARCH_X86_64 : token, 0, skipped);
    code.load(offsetof(struct seccomp_data, nr));
    if (shares_arch) {
      // The other half is looked at by its own part, which needs the architecture again.
      const std::size_t other = part.size();
      code.add(BPF_JMP | BPF_JSET | BPF_K, kX32Bit, is_x32 ? 0 : other, is_x32 ? other : 0);
    }
    code.append(part);
    code.load(offsetof(struct seccomp_data, arch));
  }
  return std::move(code).finish();
}

}  // namespace sysbox::runc

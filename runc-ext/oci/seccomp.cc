#include "runc-ext/oci/seccomp.h"

#include <algorithm>
#include <array>

#include "common/json_fields.h"
#include "runc-ext/oci/checks.h"

namespace sysbox::runc {
namespace {

constexpr std::array<std::string_view, 9> kActions = {
    "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO",        "SCMP_ACT_TRACE",
    "SCMP_ACT_LOG",  "SCMP_ACT_ALLOW",        "SCMP_ACT_NOTIFY"};

constexpr std::array<std::string_view, 7> kOperators = {
    "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",       "SCMP_CMP_EQ",
    "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};

constexpr std::array<std::string_view, 22> kArchitectures = {
    "SCMP_ARCH_NATIVE",      "SCMP_ARCH_X86",     "SCMP_ARCH_X86_64",   "SCMP_ARCH_X32",
    "SCMP_ARCH_ARM",         "SCMP_ARCH_AARCH64", "SCMP_ARCH_MIPS",     "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",   "SCMP_ARCH_MIPSEL",  "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",         "SCMP_ARCH_PPC64",   "SCMP_ARCH_PPC64LE",  "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",       "SCMP_ARCH_PARISC",  "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K"};

constexpr std::array<std::string_view, 4> kFlags = {
    "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};

template <std::size_t kCount>
void require_all_of(JsonFields& in, std::string_view name, const std::vector<std::string>& values,
                    const std::array<std::string_view, kCount>& known, std::string_view what) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    require_one_of(in, join(name, "[", i, "]"), values[i], known, what);
  }
}

Result<OciSeccompArg> parse_arg(const nlohmann::json& arg, const std::string& path) {
  OciSeccompArg out;
  JsonFields in(arg, path);
  in.required("index", out.index);
  if (out.index > 5) in.fail(in.path_of("index"), join(out.index, " is not between 0 and 5"));
  in.required("value", out.value);
  in.optional("valueTwo", out.value_two);
  in.required("op", out.op);
  require_one_of(in, "op", out.op, kOperators, "a seccomp operator");
  TRY(std::move(in).finish());
  return out;
}

Result<OciSeccompRule> parse_rule(const nlohmann::json& rule, const std::string& path) {
  OciSeccompRule out;
  JsonFields in(rule, path);
  in.required("names", out.names);
  if (out.names.empty()) in.fail(in.path_of("names"), "is empty");
  in.required("action", out.action);
  require_one_of(in, "action", out.action, kActions, "a seccomp action");
  in.optional("errnoRet", out.errno_ret);
  in.optional_array("args", out.args, parse_arg);
  TRY(std::move(in).finish());
  return out;
}

}  // namespace

bool asks_for_listener(const OciSeccomp& seccomp) {
  return std::any_of(seccomp.rules.begin(), seccomp.rules.end(),
                     [](const OciSeccompRule& rule) { return rule.action == "SCMP_ACT_NOTIFY"; });
}

Result<OciSeccomp> parse_seccomp(const nlohmann::json& seccomp, const std::string& path) {
  OciSeccomp out;
  JsonFields in(seccomp, path);
  in.required("defaultAction", out.default_action);
  require_one_of(in, "defaultAction", out.default_action, kActions, "a seccomp action");
  in.optional("defaultErrnoRet", out.default_errno_ret);
  in.optional("architectures", out.architectures);
  require_all_of(in, "architectures", out.architectures, kArchitectures, "a seccomp architecture");
  // Without a word on flags, what runc does: no mitigations that cost every program dear.
  if (in.find("flags") == nullptr) out.flags = {"SECCOMP_FILTER_FLAG_SPEC_ALLOW"};
  in.optional("flags", out.flags);
  require_all_of(in, "flags", out.flags, kFlags, "a seccomp flag");
  in.optional("listenerPath", out.listener_path);
  in.optional("listenerMetadata", out.listener_metadata);
  in.optional_array("syscalls", out.rules, parse_rule);
  TRY(std::move(in).finish());
  return out;
}

}  // namespace sysbox::runc

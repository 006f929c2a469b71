#pragma once

// config.json "linux.seccomp" (config-linux.md#seccomp).

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"

namespace sysbox::runc {

struct OciSeccompArg {
  unsigned index = 0;  // 0 … 5
  std::uint64_t value = 0;
  std::uint64_t value_two = 0;
  std::string op;  // "SCMP_CMP_EQ" …
};

struct OciSeccompRule {
  std::vector<std::string> names;
  std::string action;  // "SCMP_ACT_ALLOW" …
  std::optional<std::uint32_t> errno_ret;
  std::vector<OciSeccompArg> args;
};

struct OciSeccomp {
  std::string default_action;
  std::optional<std::uint32_t> default_errno_ret;
  std::vector<std::string> architectures;  // "SCMP_ARCH_X86_64" …
  std::vector<std::string> flags;
  std::string listener_path;
  std::string listener_metadata;
  std::vector<OciSeccompRule> rules;
};

// Whether it has an SCMP_ACT_NOTIFY, so that the agent at listener_path gets the listener.
bool asks_for_listener(const OciSeccomp& seccomp);

Result<OciSeccomp> parse_seccomp(const nlohmann::json& seccomp, const std::string& path);

}  // namespace sysbox::runc

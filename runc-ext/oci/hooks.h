#pragma once

// config.json "hooks" (config.md#posix-platform-hooks).

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"

namespace sysbox::runc {

struct OciHook {
  std::string path;  // absolute
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::optional<int> timeout_seconds;
};

struct OciHooks {
  std::vector<OciHook> prestart;  // deprecated, and what Docker uses
  std::vector<OciHook> create_runtime;
  std::vector<OciHook> create_container;
  std::vector<OciHook> start_container;
  std::vector<OciHook> poststart;
  std::vector<OciHook> poststop;
};

Result<OciHooks> parse_hooks(const nlohmann::json& hooks, const std::string& path);

}  // namespace sysbox::runc

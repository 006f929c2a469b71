#include "runc-ext/oci/process.h"

#include <sys/capability.h>

#include <algorithm>
#include <array>
#include <limits>

#include "common/json_fields.h"
#include "common/log.h"
#include "runc-ext/oci/checks.h"

namespace sysbox::runc {
namespace {

struct RlimitName {
  const char* name;
  int resource;
};
constexpr std::array kRlimits = {
    RlimitName{"RLIMIT_AS", RLIMIT_AS},
    RlimitName{"RLIMIT_CORE", RLIMIT_CORE},
    RlimitName{"RLIMIT_CPU", RLIMIT_CPU},
    RlimitName{"RLIMIT_DATA", RLIMIT_DATA},
    RlimitName{"RLIMIT_FSIZE", RLIMIT_FSIZE},
    RlimitName{"RLIMIT_LOCKS", RLIMIT_LOCKS},
    RlimitName{"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    RlimitName{"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    RlimitName{"RLIMIT_NICE", RLIMIT_NICE},
    RlimitName{"RLIMIT_NOFILE", RLIMIT_NOFILE},
    RlimitName{"RLIMIT_NPROC", RLIMIT_NPROC},
    RlimitName{"RLIMIT_RSS", RLIMIT_RSS},
    RlimitName{"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    RlimitName{"RLIMIT_RTTIME", RLIMIT_RTTIME},
    RlimitName{"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    RlimitName{"RLIMIT_STACK", RLIMIT_STACK},
};

Result<OciRlimit> parse_rlimit(const nlohmann::json& rlimit, const std::string& path) {
  OciRlimit out;
  JsonFields in(rlimit, path);
  in.required("type", out.name);
  in.required("soft", out.soft);
  in.required("hard", out.hard);
  const auto known = std::find_if(kRlimits.begin(), kRlimits.end(),
                                  [&out](const auto& row) { return row.name == out.name; });
  if (known == kRlimits.end()) {
    in.fail(in.path_of("type"), join("'", out.name, "' is not a resource limit"));
  } else {
    out.resource = known->resource;
  }
  if (out.soft > out.hard) {
    in.fail(in.path_of("soft"), join(out.soft, " is above the hard limit, ", out.hard));
  }
  TRY(std::move(in).finish());
  return out;
}

void refuse_duplicates(JsonFields& in, const std::vector<OciRlimit>& rlimits) {
  for (std::size_t i = 0; i < rlimits.size(); ++i) {
    for (std::size_t earlier = 0; earlier < i; ++earlier) {
      if (rlimits[i].resource != rlimits[earlier].resource) continue;
      in.fail(join(in.path_of("rlimits"), "[", i, "].type"),
              join("'", rlimits[i].name, "' is listed twice"));
    }
  }
}

Result<OciUser> parse_user(const nlohmann::json& user, const std::string& path) {
  OciUser out;
  JsonFields in(user, path);
  in.optional("uid", out.uid);
  in.optional("gid", out.gid);
  in.optional("umask", out.umask);
  in.optional("additionalGids", out.additional_gids);
  constexpr std::uint32_t kNoId = std::numeric_limits<std::uint32_t>::max();
  if (out.uid == kNoId) in.fail(in.path_of("uid"), join(kNoId, " is not a user id"));
  if (out.gid == kNoId) in.fail(in.path_of("gid"), join(kNoId, " is not a group id"));
  if (out.umask.value_or(0) > 0777) {
    in.fail(in.path_of("umask"), join(*out.umask, " is above 0777 (511)"));
  }
  TRY(std::move(in).finish());
  return out;
}

Result<OciConsoleSize> parse_console_size(const nlohmann::json& size, const std::string& path) {
  OciConsoleSize out;
  JsonFields in(size, path);
  in.optional("height", out.height);
  in.optional("width", out.width);
  TRY(std::move(in).finish());
  return out;
}

std::uint64_t capability_set(const std::vector<std::string>& names,
                             std::vector<std::string>& unknown) {
  std::uint64_t set = 0;
  for (const std::string& name : names) {
    if (const std::optional<int> number = capability_number(name)) {
      set |= std::uint64_t{1} << static_cast<unsigned>(*number);
    } else if (std::find(unknown.begin(), unknown.end(), name) == unknown.end()) {
      unknown.push_back(name);
    }
  }
  return set;
}

Result<OciCapabilities> parse_capabilities(const nlohmann::json& sets, const std::string& path) {
  OciCapabilities out;
  std::vector<std::string> unknown;
  JsonFields in(sets, path);
  const auto read_set = [&](std::string_view name, std::uint64_t& set) {
    std::vector<std::string> names;
    in.optional(name, names);
    if (!in.failed()) set = capability_set(names, unknown);
  };
  read_set("bounding", out.bounding);
  read_set("effective", out.effective);
  read_set("permitted", out.permitted);
  read_set("inheritable", out.inheritable);
  read_set("ambient", out.ambient);
  TRY(std::move(in).finish());
  if (!unknown.empty()) {
    std::string names;
    for (const std::string& name : unknown) names += (names.empty() ? "" : " ") + name;
    log::warning(path, ": unknown capabilities, ignoring: ", names);
  }
  return out;
}

void check_environment(JsonFields& in, const std::vector<std::string>& env) {
  for (std::size_t i = 0; i < env.size(); ++i) {
    const std::size_t equals = env[i].find('=');
    if (equals != std::string::npos && equals != 0) continue;
    in.fail(join(in.path_of("env"), "[", i, "]"), join("'", env[i], "' is not NAME=VALUE"));
  }
}

}  // namespace

Result<OciProcess> parse_process(const nlohmann::json& process, const std::string& path) {
  OciProcess out;
  JsonFields in(process, path);
  in.optional("terminal", out.terminal);
  in.optional_object("consoleSize", out.console_size, parse_console_size);
  in.optional_object("user", out.user, parse_user);
  in.required("args", out.args);
  if (out.args.empty()) in.fail(in.path_of("args"), "is empty: there is nothing to run");
  in.optional("env", out.env);
  check_environment(in, out.env);
  in.required("cwd", out.cwd);
  require_absolute(in, "cwd", out.cwd);
  in.optional_object("capabilities", out.capabilities, parse_capabilities);
  in.optional_array("rlimits", out.rlimits, parse_rlimit);
  refuse_duplicates(in, out.rlimits);
  in.optional("noNewPrivileges", out.no_new_privileges);
  in.optional("oomScoreAdj", out.oom_score_adj);
  if (out.oom_score_adj && (*out.oom_score_adj < -1000 || *out.oom_score_adj > 1000)) {
    in.fail(in.path_of("oomScoreAdj"), join(*out.oom_score_adj, " is not between -1000 and 1000"));
  }
  in.optional("apparmorProfile", out.apparmor_profile);
  in.optional("selinuxLabel", out.selinux_label);
  in.optional_object("scheduler", out.scheduler, parse_scheduler);
  in.optional_object("ioPriority", out.io_priority, parse_io_priority);
  in.optional_object("execCPUAffinity", out.exec_cpu_affinity, parse_cpu_affinity);
  TRY(std::move(in).finish());
  return out;
}

std::optional<int> capability_number(const std::string& name) {
  // libcap also takes numbers, small letters, and names that end at a space or comma.
  if (!name.starts_with("CAP_")) return std::nullopt;
  if (name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != std::string::npos) {
    return std::nullopt;
  }
  cap_value_t number = -1;
  if (cap_from_name(name.c_str(), &number) != 0 || number < 0 || number > 63) return std::nullopt;
  return number;
}

std::string capability_name(int number) {
  char* known = ::cap_to_name(number);
  std::string name = known != nullptr ? known : "";
  ::cap_free(known);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  // Without a name libcap gives the number.
  return capability_number(name) == number ? name : "";
}

int kernel_capability_count() { return static_cast<int>(cap_max_bits()); }

}  // namespace sysbox::runc

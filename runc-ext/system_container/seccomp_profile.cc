#include <algorithm>
#include <array>
#include <string_view>

#include "common/log.h"
#include "runc-ext/system_container/steps.h"
#include "runc-ext/system_container/system_calls.h"

namespace sysbox::runc {
namespace {

template <typename Names>
bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool allows_by_default(const OciSeccomp& profile) {
  return profile.default_action == "SCMP_ACT_ALLOW" || profile.default_action == "SCMP_ACT_LOG";
}

// System calls that the process makes between the loading of the filter and the agent's getting of
// the listener: with nobody there to answer, it would hang. runc's is write, and its words.
constexpr std::array<std::string_view, 2> kBeforeTheAgent = {"sendmsg", "write"};

// What root of a machine calls and engines' profiles withhold. The container's user namespace is
// what limits these: the kernel asks for a capability inside it. An ERRNO of the profile would
// also win over the filter that hands mount and others to sysbox-fs.
const std::vector<std::string_view>& machine_calls() {
  static const std::vector<std::string_view> calls = calls_in_profile(InProfile::kAllowed);
  return calls;
}

// The kernel takes one listener in a chain of filters: the agent's, if the profile names one, and
// else sysbox-fs's.
Result<void> check_notify(const OciSeccomp& profile) {
  if (profile.default_action == "SCMP_ACT_NOTIFY") {
    return Error(EINVAL,
                 "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action");
  }
  if (!asks_for_listener(profile)) return {};
  if (profile.listener_path.empty()) {
    return Error(EINVAL,
                 "linux.seccomp.listenerPath: is missing, but a rule has SCMP_ACT_NOTIFY: name the "
                 "socket of the agent that answers");
  }
  for (std::size_t i = 0; i < profile.rules.size(); ++i) {
    if (profile.rules[i].action != "SCMP_ACT_NOTIFY") continue;
    for (const std::string_view call : kBeforeTheAgent) {
      if (!contains(profile.rules[i].names, call)) continue;
      return Error(EINVAL, join("linux.seccomp.syscalls[", i,
                                "]: SCMP_ACT_NOTIFY cannot be used for the ", call, " syscall"));
    }
  }
  log::warning(
      "linux.seccomp.listenerPath: its agent gets the only seccomp listener that a container can "
      "have, so a procfs or sysfs cannot be mounted inside");
  return {};
}

// Engines' own profiles look at the arguments of these; a rule that looks at another call's is one
// that somebody wrote.
constexpr std::array<std::string_view, 2> kLookedInto = {"clone", "personality"};

bool is_withheld(const OciSeccompRule& rule, const std::string& name) {
  if (rule.action == "SCMP_ACT_NOTIFY") return false;
  return contains(machine_calls(), name) && (rule.args.empty() || contains(kLookedInto, name));
}

bool is_named(const std::vector<OciSeccompRule>& rules, std::string_view call) {
  return std::any_of(rules.begin(), rules.end(),
                     [call](const auto& rule) { return contains(rule.names, call); });
}

// Takes a machine's calls out of the rules: those that deny them, and those of engines that allow
// them for some arguments only.
void forget_machine_calls(std::vector<OciSeccompRule>& rules) {
  for (OciSeccompRule& rule : rules) {
    std::erase_if(rule.names, [&rule](const auto& name) { return is_withheld(rule, name); });
  }
  std::erase_if(rules, [](const OciSeccompRule& rule) { return rule.names.empty(); });
}

void allow_young_calls(std::vector<OciSeccompRule>& rules) {
  OciSeccompRule allow;
  allow.action = "SCMP_ACT_ALLOW";
  for (const std::string_view call : calls_in_profile(InProfile::kAllowedUnlessNamed)) {
    if (!is_named(rules, call)) allow.names.emplace_back(call);
  }
  if (!allow.names.empty()) rules.push_back(std::move(allow));
}

void allow_machine_calls(std::vector<OciSeccompRule>& rules) {
  OciSeccompRule allow;
  allow.action = "SCMP_ACT_ALLOW";
  for (const std::string_view call : machine_calls()) {
    if (!is_named(rules, call)) allow.names.emplace_back(call);
  }
  rules.push_back(std::move(allow));
}

}  // namespace

Result<void> widen_seccomp_profile(OciLinux& linux_part) {
  if (!linux_part.seccomp) return {};
  OciSeccomp& profile = *linux_part.seccomp;
  TRY(check_notify(profile));
  forget_machine_calls(profile.rules);
  if (allows_by_default(profile)) return {};
  allow_young_calls(profile.rules);
  allow_machine_calls(profile.rules);
  return {};
}

}  // namespace sysbox::runc

#include <algorithm>
#include <array>
#include <string_view>

#include "common/log.h"
#include "runc-ext/system_container/steps.h"

namespace sysbox::runc {
namespace {

// What root of a machine calls and engines' profiles withhold. The container's user namespace is
// what limits these: the kernel asks for a capability inside it. An ERRNO of the profile would
// also win over the filter that hands mount and others to sysbox-fs.
constexpr auto kMachineCalls = std::to_array<std::string_view>(
    {// systemd, engines: mounts
     "chroot", "fsconfig", "fsmount", "fsopen", "fspick", "listmount", "mount", "mount_setattr",
     "move_mount", "open_tree", "open_tree_attr", "pivot_root", "statmount", "umount", "umount2",
     // engines: namespaces, inner containers' seccomp agents and debuggers
     "clone", "clone3", "kcmp", "name_to_handle_at", "pidfd_getfd", "pidfd_open",
     "pidfd_send_signal", "process_madvise", "process_mrelease", "process_vm_readv",
     "process_vm_writev", "ptrace", "seccomp", "setns", "unshare",
     // engines: keyrings for each container, device filters of cgroup v2
     "add_key", "bpf", "keyctl", "request_key",
     // tmpfiles, udev, image builders
     "fanotify_init", "fanotify_mark", "mknod", "mknodat",
     // hostnamectl, shutdown (reboot ends the pid namespace), setarch
     "personality", "reboot", "setdomainname", "sethostname", "swapoff", "swapon", "sysinfo",
     // numactl, databases
     "get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"});

// Harmless calls that are younger than many profiles. Those answer EPERM, which programs take as
// final, where the kernel or ENOSYS would let them go on. A rule that names one stays.
constexpr auto kYoungCalls = std::to_array<std::string_view>(
    {// files
     "close_range", "copy_file_range", "faccessat2", "fchmodat2", "file_getattr", "file_setattr",
     "getxattrat", "listxattrat", "openat2", "preadv2", "pwritev2", "removexattrat", "renameat2",
     "setxattrat", "statx",
     // memory
     "cachestat", "map_shadow_stack", "membarrier", "memfd_create", "mseal",
     // waiting
     "epoll_pwait2", "futex_requeue", "futex_wait", "futex_waitv", "futex_wake", "rseq",
     // a program's limits for itself
     "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "lsm_get_self_attr",
     "lsm_list_modules", "lsm_set_self_attr"});

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
  return contains(kMachineCalls, name) && (rule.args.empty() || contains(kLookedInto, name));
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
  for (const std::string_view call : kYoungCalls) {
    if (!is_named(rules, call)) allow.names.emplace_back(call);
  }
  if (!allow.names.empty()) rules.push_back(std::move(allow));
}

void allow_machine_calls(std::vector<OciSeccompRule>& rules) {
  OciSeccompRule allow;
  allow.action = "SCMP_ACT_ALLOW";
  for (const std::string_view call : kMachineCalls) {
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

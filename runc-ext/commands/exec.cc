#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/json_fields.h"
#include "common/syscalls.h"
#include "runc-ext/commands/commands.h"
#include "runc-ext/container/listen_fds.h"
#include "runc-ext/system_container/convert.h"

namespace sysbox::runc {
namespace {

struct ExecFlags {
  std::string process_file;
  std::string cwd;
  std::string user;
  std::vector<std::string> cgroups;
  std::string label;
  std::string apparmor;
  std::vector<std::string> env;
  std::vector<std::string> additional_gids;
  std::vector<std::string> capabilities;
  bool tty = false;
  bool no_new_privileges = false;
};

void add_exec_flags(Flags& flags, ExecFlags& own, ExecOptions& options) {
  flags.add("--process,-p", own.process_file, "file with the process as config.json has it");
  flags.add("--cwd", own.cwd, "directory inside to start in");
  flags.add("--env,-e", own.env, "NAME=VALUE to add to the environment");
  flags.add("--tty,-t", own.tty, "give it a terminal");
  flags.add("--user,-u", own.user, "UID[:GID] inside");
  flags.add("--additional-gids,-g", own.additional_gids, "a further group id inside");
  flags.add("--cap,-c", own.capabilities, "a capability to add (CAP_…)");
  flags.add("--no-new-privs", own.no_new_privileges, "set no_new_privs");
  flags.add("--process-label", own.label, "SELinux label of the process");
  flags.add("--apparmor", own.apparmor, "AppArmor profile of the process");
  flags.add("--cgroup", own.cgroups, "[CONTROLLER[,…]:]PATH of a cgroup inside to run in");
  flags.add("--console-socket", options.sockets.console,
            "socket that gets the master of the process's terminal");
  flags.add("--pidfd-socket", options.sockets.pidfd, "socket that gets a pidfd of the process");
  flags.add("--pid-file", options.pid_file, "file that gets the process's pid");
  flags.add("--preserve-fds", options.preserve_fds,
            "how many descriptors from 3 on the process inherits [0]");
  flags.add("--detach,-d", options.detach, "do not wait for the process");
  flags.add("--ignore-paused", options.ignore_paused, "do not refuse a paused container");
  flags.add("--no-subreaper", options.no_subreaper, "do not adopt what the process leaves behind");
}

Result<std::uint32_t> parse_container_id(std::string_view text, const char* what) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), id);
  if (error != std::errc{} || end != text.end()) {
    return Error(EINVAL, join(what, ": '", text, "' is not a number (names are not looked up)"));
  }
  return id;
}

Result<void> apply_user(const ExecFlags& flags, OciProcess& process) {
  if (!flags.user.empty()) {
    const std::size_t colon = flags.user.find(':');
    process.user.uid = TRY(parse_container_id(flags.user.substr(0, colon), "--user"));
    if (colon != std::string::npos) {
      process.user.gid = TRY(parse_container_id(flags.user.substr(colon + 1), "--user"));
    }
  }
  for (const std::string& text : flags.additional_gids) {
    process.user.additional_gids.push_back(TRY(parse_container_id(text, "--additional-gids")));
  }
  return {};
}

Result<void> add_capabilities(const ExecFlags& flags, OciProcess& process) {
  OciCapabilities& sets =
      process.capabilities ? *process.capabilities : process.capabilities.emplace();
  // Ambient ones need inheritable ones, which a flag never adds (CVE-2022-29162).
  const bool ambient = sets.inheritable != 0;
  for (const std::string& name : flags.capabilities) {
    const std::optional<int> number = capability_number(name);
    if (!number) return Error(EINVAL, join("--cap: unknown capability '", name, "'"));
    const std::uint64_t bit = std::uint64_t{1} << static_cast<unsigned>(*number);
    for (std::uint64_t* set : {&sets.bounding, &sets.effective, &sets.permitted}) *set |= bit;
    if (ambient) sets.ambient |= bit;
  }
  return {};
}

// The container's own process, with the changes that the flags ask for.
Result<OciProcess> process_like_init(const OciProcess& of_container, const ExecFlags& flags,
                                     std::vector<std::string> command) {
  OciProcess process = of_container;
  if (command.empty()) return Error(EINVAL, "exec args cannot be empty");
  process.terminal = flags.tty;
  process.args = std::move(command);
  process.env.insert(process.env.end(), flags.env.begin(), flags.env.end());
  if (!flags.cwd.empty()) process.cwd = flags.cwd;
  if (process.cwd.empty()) process.cwd += '/';
  process.no_new_privileges |= flags.no_new_privileges;
  if (!flags.label.empty()) process.selinux_label = flags.label;
  TRY(apply_user(flags, process));
  return process;
}

// What a process from a file does not say is as it is for the container's own.
void complete_from(const OciProcess& of_container, OciProcess& process) {
  if (!process.capabilities) process.capabilities = of_container.capabilities;
  if (!process.user.umask) process.user.umask = of_container.user.umask;
  if (process.rlimits.empty()) process.rlimits = of_container.rlimits;
  if (!process.oom_score_adj) process.oom_score_adj = of_container.oom_score_adj;
  if (!process.scheduler) process.scheduler = of_container.scheduler;
  if (!process.io_priority) process.io_priority = of_container.io_priority;
  OciCpuAffinity& affinity = process.exec_cpu_affinity;
  if (affinity.initial.empty() && affinity.final.empty()) {
    affinity = of_container.exec_cpu_affinity;
  }
  if (process.selinux_label.empty()) process.selinux_label = of_container.selinux_label;
  // An engine names its own profile for every process; the container has it only if it is one
  // that a system container can live with.
  process.apparmor_profile = of_container.apparmor_profile;
}

Result<OciProcess> read_process_file(const std::string& path) {
  const std::string text = TRY(sys::read_file(path).in("--process"));
  const nlohmann::json document = TRY(parse_json(text).in(path));
  return parse_process(document, "").in(path);
}

Result<void> check_process(const OciProcess& process) {
  if (process.args.empty()) return Error(EINVAL, "process args cannot be empty");
  if (!process.cwd.starts_with('/')) {
    return Error(EINVAL, join("cwd '", process.cwd, "' must be an absolute path"));
  }
  return {};
}

// What follows the id; `exec ID -- COMMAND` as well.
std::vector<std::string> command_of(const std::vector<std::string>& arguments) {
  const bool separated = arguments.size() > 1 && arguments[1] == "--";
  return {arguments.begin() + (separated ? 2 : 1), arguments.end()};
}

}  // namespace

Result<int> exec_command(Invocation& call) {
  ExecFlags flags;
  ExecOptions options;
  add_exec_flags(call.flags, flags, options);
  const std::vector<std::string> arguments =
      TRY(call.parse(1, std::string::npos, FlagPlace::kBeforeArguments));
  options.id = arguments[0];
  options.sockets.console = TRY(absolute_path(options.sockets.console));
  options.sockets.pidfd = TRY(absolute_path(options.sockets.pidfd));
  options.pid_file = TRY(absolute_path(options.pid_file));
  options.preserve_fds = TRY(call.passed_fds(options.preserve_fds));
  options.sub_cgroups = TRY(parse_sub_cgroups(flags.cgroups));

  if (!flags.process_file.empty()) options.process = TRY(read_process_file(flags.process_file));
  const ContainerView view = TRY(view_container(call.runtime, options.id));
  const OciProcess& of_container = view.record.process;
  if (flags.process_file.empty()) {
    options.process = TRY(process_like_init(of_container, flags, command_of(arguments)));
  } else {
    complete_from(of_container, options.process);
  }
  TRY(check_process(options.process));
  const Switches switches =
      TRY(convert_joining_process(options.process, view.record.annotations, of_container.env));
  options.open_doors = switches.open_doors;
  options.oom_score_floor = switches.oom_score_floor;
  if (!flags.apparmor.empty()) options.process.apparmor_profile = flags.apparmor;
  TRY(add_capabilities(flags, options.process));
  const std::vector<std::string> activation = find_listen_fds().env;
  options.process.env.insert(options.process.env.end(), activation.begin(), activation.end());
  return exec_in_container(call.runtime, options);
}

}  // namespace sysbox::runc

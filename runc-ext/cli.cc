#include "runc-ext/cli.h"

#include <fcntl.h>
#include <seccomp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "common/log.h"
#include "common/root_dir.h"
#include "common/syscalls.h"
#include "fs-emulator/api.h"
#include "mgr/api.h"
#include "runc-ext/commands/commands.h"
#include "runc-ext/container/listen_fds.h"

namespace sysbox::runc {
namespace {

constexpr int kFailure = 1;
// A status that a program inside is unlikely to have: the caller of exec can tell the two apart.
constexpr int kExecFailure = 255;

enum class Needs { kNothing, kRoot };

struct Command {
  std::string_view name;
  std::string_view arguments;
  std::string_view summary;
  Result<int> (*run)(Invocation& call);
  Needs needs = Needs::kRoot;
  int exit_code_of_failure = kFailure;
  std::string_view message_prefix = "";  // of errors; what engines know from runc
};

// Every command. To add one: a line here, and its function in commands/.
constexpr std::array kCommands = {
    Command{"create", "ID", "make a container, ready to be started", create_command},
    Command{"delete", "ID", "delete a stopped container", delete_command},
    Command{"events", "ID", "show what a container uses, and when it is out of memory",
            events_command},
    Command{"exec", "ID COMMAND...", "run a further process in a container", exec_command,
            Needs::kRoot, kExecFailure, "exec failed: "},
    Command{"features", "", "show what this runtime supports, as JSON", features_command,
            Needs::kNothing},
    Command{"kill", "ID [SIGNAL]", "send a signal (default: TERM) to a container's init",
            kill_command},
    Command{"list", "", "list containers", list_command, Needs::kNothing},
    Command{"pause", "ID", "suspend all processes of a container", pause_command},
    Command{"ps", "ID [PS OPTIONS]", "list a container's processes", ps_command},
    Command{"resume", "ID", "let a paused container go on", resume_command},
    Command{"run", "ID", "create and start a container, and wait for its end", run_command},
    Command{"spec", "", "write a config.json to begin with", spec_command, Needs::kNothing},
    Command{"start", "ID", "run the program of a created container", start_command},
    Command{"state", "ID", "show a container's state, as JSON", state_command, Needs::kNothing},
    Command{"update", "ID", "change a container's resource limits", update_command},
};
static_assert(std::is_sorted(kCommands.begin(), kCommands.end(),
                             [](const Command& a, const Command& b) { return a.name < b.name; }));

struct GlobalFlags {
  RuntimeOptions runtime;
  std::string log;
  std::string log_format = "text";
  std::string rootless = "auto";
  std::string criu;
  std::string cgroup_manager;
  bool debug = false;
  bool version = false;
};

std::string environment_or(const char* name, std::string otherwise) {
  const char* value = ::getenv(name);
  return value != nullptr && *value != '\0' ? value : std::move(otherwise);
}

std::string default_root() {
  const std::string runtime_directory = environment_or("XDG_RUNTIME_DIR", "");
  if (::geteuid() != 0 && !runtime_directory.empty()) return runtime_directory + "/sysbox-runc";
  return RuntimeOptions().root;
}

void add_global_flags(Flags& flags, GlobalFlags& global) {
  global.runtime.root = default_root();
  global.runtime.manager_socket = environment_or("SYSBOX_MGR_SOCKET", mgr::kDefaultSocket);
  global.runtime.emulator_socket = environment_or("SYSBOX_FS_SOCKET", fs::kDefaultSocket);
  flags.add("--root", global.runtime.root,
            "directory of the containers' state [" + global.runtime.root + "]");
  flags.add("--log", global.log, "file that log lines are appended to [standard error]");
  flags.add("--log-format", global.log_format, "text or json [text]");
  flags.add("--debug", global.debug, "log more");
  flags.add("--systemd-cgroup", global.runtime.systemd_cgroup, "let systemd make the cgroup");
  flags.add("--rootless", global.rootless, "auto or false; true is not supported");
  flags.add("--criu", global.criu, "ignored");
  flags.add("--manager-socket", global.runtime.manager_socket,
            "socket of sysbox-mgr [" + global.runtime.manager_socket + "]");
  flags.add("--emulator-socket", global.runtime.emulator_socket,
            "socket of sysbox-fs [" + global.runtime.emulator_socket + "]");
  flags.add("--cgroup-manager", global.cgroup_manager,
            "cgroupfs or systemd: who makes the cgroup, as with crun [cgroupfs]");
  flags.add("--version,-v", global.version, "show the version");
}

Result<void> set_up_log(const GlobalFlags& global) {
  if (global.debug) log::set_level(log::Level::kDebug);
  if (!global.log.empty()) {
    log::set_output(TRY(sys::open(global.log, O_WRONLY | O_APPEND | O_CREAT, 0644).in("log file")));
  }
  if (global.log_format == "json") {
    log::set_format(log::Format::kJson);
  } else if (global.log_format != "text") {
    return Error(EINVAL, join("unknown log format '", global.log_format, "': text or json"));
  }
  return {};
}

// crun's way to say --systemd-cgroup.
Result<void> choose_cgroup_manager(GlobalFlags& global) {
  if (global.cgroup_manager.empty() || global.cgroup_manager == "cgroupfs") return {};
  if (global.cgroup_manager != "systemd") {
    return Error(EINVAL, join("--cgroup-manager: '", global.cgroup_manager,
                              "' is not supported: cgroupfs or systemd"));
  }
  global.runtime.systemd_cgroup = true;
  return {};
}

Result<void> check_global_flags(GlobalFlags& global) {
  TRY(choose_cgroup_manager(global));
  if (global.rootless != "auto" && global.rootless != "false" && !global.rootless.empty()) {
    return Error(ENOTSUP, join("--rootless=", global.rootless,
                               " is not supported: sysbox-runc needs root on the host; root inside "
                               "a container never is root outside"));
  }
  global.runtime.root = TRY(absolute_path(global.runtime.root));
  // "" as well: a state directory there would make every directory of the host a container.
  if (global.runtime.root.empty() || global.runtime.root == "/") {
    return Error(EINVAL, "--root must not be empty or /");
  }
  return {};
}

std::string version_text() {
  const struct scmp_version* libseccomp = ::seccomp_version();
  return join("sysbox-runc version ", SYSBOX_VERSION,
              "\nspec: 1.2.1\nlibseccomp: ", libseccomp->major, ".", libseccomp->minor, ".",
              libseccomp->micro, "\n");
}

std::string help_text(const Flags& flags) {
  std::string text =
      "sysbox-runc runs OCI bundles as system containers.\n\n"
      "Usage: sysbox-runc [GLOBAL FLAGS] COMMAND [FLAGS] [ARGUMENTS]\n\nCommands:\n";
  for (const Command& command : kCommands) {
    const std::string head = join("  ", command.name, " ", command.arguments);
    text += join(head, std::string(std::max<std::size_t>(26, head.size() + 1) - head.size(), ' '),
                 command.summary, "\n");
  }
  return join(text, "\nGlobal flags:", flags.help());
}

std::string command_help_text(const Command& command, const Flags& flags) {
  return join("sysbox-runc ", command.name, ": ", command.summary, "\n\nUsage: sysbox-runc ",
              command.name, " [FLAGS] ", command.arguments, "\n", flags.help());
}

int fail(const Error& error, int exit_code = kFailure, std::string_view prefix = "") {
  const std::string message = join(prefix, error.message());
  log::error(message);
  if (!log::writes_to_stderr()) {
    // Nothing can be done about a standard error that cannot be written.
    [[maybe_unused]] const Result<void> told = sys::write_all(STDERR_FILENO, message + "\n");
  }
  return exit_code;
}

int exit_code_of(const Result<void>& done) { return done.ok() ? 0 : fail(done.error()); }

int run_one(const Command& command, Invocation& call) {
  if (command.needs == Needs::kRoot && ::geteuid() != 0) {
    return fail(Error(EPERM, join("'", command.name, "' must be run as root")),
                command.exit_code_of_failure);
  }
  const Result<int> code = command.run(call);
  if (call.flags.help_wanted()) {
    return exit_code_of(print(command_help_text(command, call.flags)));
  }
  if (code.ok()) return code.value();
  return fail(code.error(), command.exit_code_of_failure, command.message_prefix);
}

// Before we open anything ourselves.
int count_inherited_fds() {
  int count = 0;
  while (::fcntl(STDERR_FILENO + 1 + count, F_GETFD) >= 0) ++count;
  return count;
}

}  // namespace

Result<std::vector<std::string>> Invocation::parse(std::size_t min, std::size_t max,
                                                   FlagPlace place) {
  std::vector<std::string> arguments = TRY(flags.parse(words, place));
  if (flags.help_wanted()) return Error(ECANCELED, "help is shown instead");
  if (arguments.size() > max) {
    return Error(EINVAL, join("unexpected argument '", arguments[max], "'"));
  }
  if (arguments.size() < min) {
    return Error(EINVAL, min == 1 ? "the container's id is missing"
                                  : "the container's id or the command is missing");
  }
  return arguments;
}

Result<int> Invocation::passed_fds(int preserve_fds) const {
  if (preserve_fds < 0) {
    return Error(EINVAL, join("--preserve-fds: ", preserve_fds, " is not a number of descriptors"));
  }
  const int total = find_listen_fds().count + preserve_fds;
  if (total > inherited_fds) {
    return Error(EBADF, join("--preserve-fds: descriptor ", STDERR_FILENO + 1 + inherited_fds,
                             " is not open"));
  }
  return total;
}

int run_command_line(const std::vector<std::string>& words) {
  const int inherited_fds = count_inherited_fds();
  GlobalFlags global;
  Flags flags;
  add_global_flags(flags, global);
  const Result<std::vector<std::string>> rest = flags.parse(words, FlagPlace::kBeforeArguments);
  // The log first: even a mistake in the flags beside it is to be found there.
  const Result<void> log_ready = set_up_log(global);
  if (!log_ready.ok()) return fail(log_ready.error());
  if (!rest.ok()) return fail(rest.error());
  if (global.version) return exit_code_of(print(version_text()));
  if (flags.help_wanted() || rest.value().empty()) return exit_code_of(print(help_text(flags)));
  if (const Result<void> checked = check_global_flags(global); !checked.ok()) {
    return fail(checked.error());
  }
  const std::string& name = rest.value().front();
  const auto* command = std::find_if(kCommands.begin(), kCommands.end(),
                                     [&name](const Command& row) { return row.name == name; });
  if (command == kCommands.end()) {
    return fail(
        Error(EINVAL, join("unknown command '", name, "'; `sysbox-runc --help` lists them")));
  }
  const std::vector<std::string> own_words(rest.value().begin() + 1, rest.value().end());
  Invocation call{global.runtime, own_words, inherited_fds};
  return run_one(*command, call);
}

Result<void> print(std::string_view text) {
  return sys::write_all(STDOUT_FILENO, text).in("standard output");
}

Result<std::string> absolute_path(const std::string& path) {
  if (path.empty()) return path;
  if (path.front() == '/') return clean_path(path);
  return clean_path(join(TRY(sys::readlinkat(AT_FDCWD, "/proc/self/cwd")), "/", path));
}

}  // namespace sysbox::runc

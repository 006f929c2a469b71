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
#include "runc-ext/commit.h"
#include "runc-ext/container/listen_fds.h"
#include "runc-ext/help.h"

namespace sysbox::runc {
namespace {

constexpr int kFailure = 1;
constexpr int kNoSuchCommand = 3;
// A status that a program inside is unlikely to have: the caller of exec can tell the two apart.
constexpr int kExecFailure = 255;

enum class Needs { kNothing, kRoot };
enum class Shown { kYes, kNo };

struct Command {
  std::string_view name;
  std::string_view arguments;
  std::string_view summary;
  Result<int> (*run)(Invocation& call);
  Needs needs = Needs::kRoot;
  int exit_code_of_failure = kFailure;
  std::string_view message_prefix = "";  // of errors; what engines know from runc
  Shown shown = Shown::kYes;             // in the list of commands
};

constexpr std::string_view kId = "<container-id>";

Result<int> help_command(Invocation& call);

// Every command. To add one: a line here, its function in commands/, its description in help.cc.
constexpr std::array kCommands = {
    Command{"checkpoint", kId, "checkpoint a running container (not supported)", checkpoint_command,
            Needs::kNothing},
    Command{"create", kId, "create a container, ready to be started", create_command},
    Command{"delete", kId, "delete a container that has stopped", delete_command},
    Command{"events", kId, "show what a container uses, and when it is out of memory",
            events_command},
    Command{"exec", "<container-id> <command> [arguments...] || -p process.json <container-id>",
            "run a further process in a container", exec_command, Needs::kRoot, kExecFailure,
            "exec failed: "},
    Command{"features", "", "show what this runtime supports, as JSON", features_command,
            Needs::kNothing},
    Command{"help", "[command]", "show the help of a command", help_command, Needs::kNothing},
    Command{"init", "", "start a container's first process (internal)", init_command,
            Needs::kNothing, kFailure, "", Shown::kNo},
    Command{"kill", "<container-id> [signal]",
            "send a signal (default: SIGTERM) to a container's init", kill_command},
    Command{"list", "", "list containers", list_command, Needs::kNothing},
    Command{"pause", kId, "suspend all processes of a container", pause_command},
    Command{"ps", "<container-id> [ps options]", "list a container's processes", ps_command},
    Command{"restore", kId, "restore a container from a checkpoint (not supported)",
            restore_command, Needs::kNothing},
    Command{"resume", kId, "let a paused container go on", resume_command},
    Command{"run", kId, "create and start a container, and wait for its end", run_command},
    Command{"spec", "", "write a config.json to begin with", spec_command, Needs::kNothing},
    Command{"start", kId, "run the program of a created container", start_command},
    Command{"state", kId, "show a container's state, as JSON", state_command, Needs::kNothing},
    Command{"update", kId, "change a container's resource limits", update_command},
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
  flags.add("--rootless", global.rootless, "accepted, without a consequence [auto]");
  flags.add("--criu", global.criu, Flags::kHidden);
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
  // It only decides what runc makes of cgroups that it may not use; we need them.
  constexpr std::array kKnown = {"auto", "", "true", "false", "1", "0"};
  if (std::find(kKnown.begin(), kKnown.end(), global.rootless) == kKnown.end()) {
    return Error(EINVAL, join("--rootless: '", global.rootless, "' is not true, false or auto"));
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
  return join("sysbox-runc version ", SYSBOX_VERSION, "\ncommit: ", SYSBOX_COMMIT,
              "\nspec: 1.2.1\nlibseccomp: ", libseccomp->major, ".", libseccomp->minor, ".",
              libseccomp->micro, "\n");
}

const Command* find_command(std::string_view name) {
  const auto* found = std::find_if(kCommands.begin(), kCommands.end(),
                                   [name](const Command& row) { return row.name == name; });
  return found != kCommands.end() ? found : nullptr;
}

std::string program_help() {
  GlobalFlags global;
  Flags flags;
  add_global_flags(flags, global);
  std::string commands;
  for (const Command& command : kCommands) {
    if (command.shown == Shown::kNo) continue;
    std::string name(command.name);
    name.resize(12, ' ');
    commands += join(commands.empty() ? "" : "\n", "   ", name, command.summary);
  }
  return help_text(
      {"", "", "Open Container Initiative runtime for system containers", flags.help(), commands});
}

std::string command_help(const Command& command, const Flags& flags) {
  return help_text({command.name, command.arguments, command.summary, flags.help(), ""});
}

Error no_such_command(const std::string& name) {
  return {EINVAL,
          join("No help topic for '", name, "': no such command; `sysbox-runc --help` lists them")};
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
  const auto asks_for_help = [](const std::string& word) { return word == "--help"; };
  const bool only_help = call.words.size() == 1 && asks_for_help(call.words[0]);
  if (command.needs == Needs::kRoot && ::geteuid() != 0 && !only_help) {
    return fail(Error(EPERM, join("'", command.name, "' must be run as root")),
                command.exit_code_of_failure);
  }
  const Result<int> code = command.run(call);
  if (call.flags.help_wanted()) {
    return exit_code_of(print(command_help(command, call.flags)));
  }
  if (code.ok()) return code.value();
  return fail(code.error(), command.exit_code_of_failure, command.message_prefix);
}

// `help COMMAND` is `COMMAND --help`.
Result<int> help_command(Invocation& call) {
  const std::vector<std::string> arguments = TRY(call.parse(0, 1));
  if (arguments.empty()) {
    TRY(print(program_help()));
    return 0;
  }
  const Command* command = find_command(arguments[0]);
  if (command == nullptr) return no_such_command(arguments[0]);
  const std::vector<std::string> words = {"--help"};
  Invocation of_command{call.runtime, words, command->name, call.inherited_fds};
  return run_one(*command, of_command);
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
  const bool too_few = arguments.size() < min;
  if (too_few || arguments.size() > max) {
    const std::string_view kind = min == max ? "exactly "
                                  : too_few  ? "a minimum of "
                                             : "a maximum of ";
    return Error(EINVAL, join("\"", command, "\" requires ", kind, too_few ? min : max,
                              " argument(s), not ", arguments.size()));
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
  if (flags.help_wanted() || rest.value().empty()) return exit_code_of(print(program_help()));
  if (const Result<void> checked = check_global_flags(global); !checked.ok()) {
    return fail(checked.error());
  }
  const std::string& name = rest.value().front();
  const Command* command = find_command(name);
  if (command == nullptr) return fail(no_such_command(name), kNoSuchCommand);
  const std::vector<std::string> own_words(rest.value().begin() + 1, rest.value().end());
  Invocation call{global.runtime, own_words, command->name, inherited_fds};
  log::debug("sysbox-runc ", SYSBOX_VERSION, " (", SYSBOX_COMMIT, "): ", name);
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

// The host's own ps(1) makes the table, as engines and people know it from runc: `ps` with any
// options, and of its lines those of the container.

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "common/syscalls.h"
#include "runc-ext/commands/commands.h"

namespace sysbox::runc {
namespace {

constexpr std::size_t kMaxOutput = 64U << 20U;

std::string as_json(const std::vector<pid_t>& pids) {
  std::string text;
  for (const pid_t pid : pids) text += join(text.empty() ? "" : ",", pid);
  return pids.empty() ? "null\n" : join("[", text, "]\n");
}

struct Ended {
  int status = 0;
  std::string output;
};

// Standard output and standard error of `ps` with these options.
Result<Ended> run_ps(std::vector<std::string> options) {
  auto [reader, writer] = TRY(sys::pipe());
  std::string name = "ps";
  std::vector<char*> words = {name.data()};
  for (std::string& option : options) words.push_back(option.data());
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, writer.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, writer.get(), STDERR_FILENO);
  pid_t pid = 0;
  const int code = ::posix_spawnp(&pid, "ps", &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (code != 0) return errno_error(code, "run ps (of Debian's package procps)");
  writer.reset();
  Result<std::string> output = sys::read_all(reader.get(), kMaxOutput);
  reader.reset();
  Ended ended;
  while (::waitpid(pid, &ended.status, 0) < 0 && errno == EINTR) {
  }
  ended.output = TRY(std::move(output).in("ps"));
  return ended;
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(std::move(word));
  return words;
}

std::string last_line(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);  // npos + 1 is 0
}

// The column of the title line that is named PID.
Result<std::size_t> find_pid_column(const std::string& title) {
  const std::vector<std::string> names = words_of(title);
  const auto found = std::find(names.begin(), names.end(), "PID");
  if (found == names.end()) return Error(EINVAL, "couldn't find PID field in ps output");
  return static_cast<std::size_t>(found - names.begin());
}

Result<std::string> as_table(const std::vector<pid_t>& pids, std::vector<std::string> options) {
  if (options.empty()) options.emplace_back("-ef");
  const Ended ended = TRY(run_ps(std::move(options)));
  if (!WIFEXITED(ended.status) || WEXITSTATUS(ended.status) != 0) {
    return Error(EINVAL, join("ps failed: ", last_line(ended.output)));
  }
  std::istringstream lines(ended.output);
  std::string line;
  std::getline(lines, line);
  const std::size_t column = TRY(find_pid_column(line));
  std::string table = line + "\n";
  while (std::getline(lines, line)) {
    const std::vector<std::string> words = words_of(line);
    if (words.size() <= column) continue;
    const std::string& word = words[column];
    pid_t pid = 0;
    if (std::from_chars(word.data(), word.data() + word.size(), pid).ec != std::errc()) {
      return Error(EINVAL, join("unable to parse pid: '", word, "'"));
    }
    if (std::binary_search(pids.begin(), pids.end(), pid)) table += line + "\n";
  }
  return table;
}

}  // namespace

Result<int> ps_command(Invocation& call) {
  std::string format = "table";
  call.flags.add("--format,-f", format, "table or json [table]");
  std::vector<std::string> arguments =
      TRY(call.parse(1, std::string::npos, FlagPlace::kBeforeArguments));
  const ContainerView view = TRY(view_container(call.runtime, arguments[0]));
  const std::vector<pid_t> pids =
      TRY(Cgroup::from_state(view.record.cgroup).processes());  // sorted
  if (format == "json") {
    TRY(print(as_json(pids)));
    return 0;
  }
  if (format != "table") return Error(EINVAL, "invalid format option");
  arguments.erase(arguments.begin());
  const std::string table = TRY(as_table(pids, std::move(arguments)));
  TRY(print(table));
  return 0;
}

}  // namespace sysbox::runc

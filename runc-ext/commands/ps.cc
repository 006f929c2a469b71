#include <algorithm>

#include "common/process_status.h"
#include "common/syscalls.h"
#include "runc-ext/commands/commands.h"

namespace sysbox::runc {
namespace {

std::string command_line_of(const UniqueFd& process) {
  std::string text = sys::read_file_at(process.get(), "cmdline").value_or("");
  while (!text.empty() && text.back() == '\0') text.pop_back();
  if (text.empty()) {
    text = sys::read_file_at(process.get(), "comm").value_or("?\n");
    return join("[", text.substr(0, text.find('\n')), "]");
  }
  // A process may call itself what it likes; a terminal must not obey it.
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size() + 1), ' ');
  return text;
}

std::string row_of(pid_t pid) {
  const Result<UniqueFd> process = sys::open(join("/proc/", pid), O_PATH | O_DIRECTORY);
  if (!process.ok()) return "";  // it has ended meanwhile
  const Result<std::string> text = sys::read_file_at(process.value().get(), "status");
  if (!text.ok()) return "";
  const Result<ProcessStatus> status = parse_process_status(text.value());
  if (!status.ok()) return "";
  return join(padded(std::to_string(status.value().uid), 12), padded(std::to_string(pid), 10),
              command_line_of(process.value()), "\n");
}

std::string as_table(const std::vector<pid_t>& pids) {
  std::string text = join(padded("UID", 12), padded("PID", 10), "CMD\n");
  for (const pid_t pid : pids) text += row_of(pid);
  return text;
}

std::string as_json(const std::vector<pid_t>& pids) {
  std::string text;
  for (const pid_t pid : pids) text += join(text.empty() ? "" : ",", pid);
  return join("[", text, "]\n");
}

}  // namespace

Result<int> ps_command(Invocation& call) {
  std::string format = "table";
  call.flags.add("--format,-f", format, "table or json [table]");
  const std::vector<std::string> arguments = TRY(call.parse(1, 1));
  if (format != "table" && format != "json") {
    return Error(EINVAL, join("unknown format '", format, "': table or json"));
  }
  const ContainerView view = TRY(view_container(call.runtime, arguments[0]));
  std::vector<pid_t> pids = TRY(Cgroup::from_state(view.record.cgroup).processes());
  std::sort(pids.begin(), pids.end());
  TRY(print(format == "json" ? as_json(pids) : as_table(pids)));
  return 0;
}

}  // namespace sysbox::runc

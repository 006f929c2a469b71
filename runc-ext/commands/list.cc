#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <sstream>

#include "common/log.h"
#include "common/syscalls.h"
#include "runc-ext/commands/commands.h"

namespace sysbox::runc {
namespace {

// The name of the state directory's owner, as runc has it: "#1000" for one without a name.
std::string owner_of(const RuntimeOptions& runtime, const std::string& id) {
  const Result<struct stat> directory = sys::fstatat(AT_FDCWD, runtime.root + "/" + id);
  if (!directory.ok()) return "";
  if (directory.value().st_uid == 0) return "root";
  const std::string uid = std::to_string(directory.value().st_uid);
  std::istringstream users(sys::read_file("/etc/passwd").value_or(""));
  for (std::string line; std::getline(users, line);) {
    const std::size_t name_end = line.find(':');
    const std::size_t password_end = line.find(':', name_end + 1);
    if (password_end == std::string::npos) continue;
    if (line.compare(password_end + 1, uid.size() + 1, uid + ":") == 0) {
      return line.substr(0, name_end);
    }
  }
  return "#" + uid;
}

// Those that can be read; what is wrong with another is told, and does not hide the rest.
std::vector<OciState> read_states(const RuntimeOptions& runtime,
                                  const std::vector<std::string>& ids) {
  std::vector<OciState> states;
  for (const std::string& id : ids) {
    Result<ContainerView> view = view_container(runtime, id);
    if (view.ok()) {
      states.push_back(std::move(view).value().state);
      states.back().owner = owner_of(runtime, id);
    } else if (view.error().code() != ENOENT) {  // deleted meanwhile
      log::warning("list: ", view.error().message(), ", left out");
    }
  }
  return states;
}

std::string as_ids(const std::vector<OciState>& states) {
  std::string text;
  for (const OciState& state : states) text += state.id + "\n";
  return text;
}

// runc's table: columns of at least twelve characters, three blanks between them.
std::string as_table(const std::vector<OciState>& states) {
  constexpr std::size_t kColumns = 6;
  using Row = std::array<std::string, kColumns>;
  std::vector<Row> rows = {{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
  for (const OciState& state : states) {
    rows.push_back({state.id, std::to_string(state.pid), state.status, state.bundle, state.created,
                    state.owner});
  }
  std::string text;
  std::array<std::size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < kColumns; ++i) {
      widths[i] = std::max({widths[i], row[i].size() + 3, std::size_t{12}});
    }
  }
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < kColumns; ++i) {
      text += row[i] + std::string(widths[i] - row[i].size(), ' ');
    }
    text += row.back() + "\n";
  }
  return text;
}

// One line; null without containers, as runc has it.
std::string as_json(const std::vector<OciState>& states) {
  nlohmann::ordered_json list;
  for (const OciState& state : states) {
    list.push_back(nlohmann::ordered_json::parse(state_for_people(state), nullptr, false));
  }
  return list.dump() + "\n";
}

}  // namespace

Result<int> list_command(Invocation& call) {
  std::string format = "table";
  bool quiet = false;
  call.flags.add("--format,-f", format, "table or json [table]");
  call.flags.add("--quiet,-q", quiet, "only the ids");
  TRY(call.parse(0, 0));
  if (format != "table" && format != "json") {
    return Error(EINVAL, join("unknown format '", format, "': table or json"));
  }
  const std::vector<std::string> ids = TRY(StateDir::list(call.runtime.root));
  const std::vector<OciState> states = read_states(call.runtime, ids);
  if (quiet) {
    TRY(print(as_ids(states)));
  } else {
    TRY(print(format == "json" ? as_json(states) : as_table(states)));
  }
  return 0;
}

}  // namespace sysbox::runc

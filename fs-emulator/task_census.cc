#include "fs-emulator/task_census.h"

#include <dirent.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "fs-emulator/text_fields.h"

namespace sysbox::fs {
namespace {

// A tenant may make as many cgroups as it likes; beyond these it is an estimate.
constexpr std::size_t kMaxCountedCgroups = 256;

std::vector<std::string> subdirectories(const RootDir& root, const std::string& path) {
  std::vector<std::string> names;
  Result<UniqueFd> fd = root.open_inside(path, O_RDONLY | O_DIRECTORY);
  if (!fd.ok()) return names;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd.value().get()), ::closedir);
  if (!stream) return names;
  (void)fd.value().release();  // the stream owns it
  while (const struct dirent* entry = ::readdir(stream.get())) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  return names;
}

void add(TaskCensus& census, const TaskStatus& task) {
  ++census.tasks;
  if (task.state == 'R') ++census.running;
  if (task.state == 'D') ++census.blocked;
  census.highest_pid = std::max(census.highest_pid, task.pid_in_container);
  census.context_switches += task.context_switches;
}

}  // namespace

TaskStatus parse_task_status(std::string_view status) {
  TaskStatus task;
  while (!status.empty()) {
    std::string_view line = next_line(status);
    const std::string_view key = next_field(line);
    if (key == "State:") {
      const std::string_view state = next_field(line);
      if (!state.empty()) task.state = state.front();
    } else if (key == "NSpid:") {
      // First the host's number, then the container's; further ones are of nested containers.
      (void)next_field(line);
      task.pid_in_container = parse_unsigned(next_field(line)).value_or(0);
    } else if (key == "voluntary_ctxt_switches:" || key == "nonvoluntary_ctxt_switches:") {
      task.context_switches += parse_unsigned(line).value_or(0);
    }
  }
  return task;
}

TaskCensus take_census(const RootDir& cgroup, const std::string& task_list,
                       const std::function<TaskStatus(std::string_view tid)>& status_of,
                       std::size_t limit) {
  TaskCensus census;
  std::vector<std::string> pending = {"."};
  for (std::size_t visited = 0; visited < pending.size() && visited < kMaxCountedCgroups;
       ++visited) {
    const std::string path = pending[visited];
    if (const Result<std::string> tasks = cgroup.read_file(path + "/" + task_list); tasks.ok()) {
      std::string_view rest = tasks.value();
      while (!rest.empty() && census.tasks < limit) {
        const std::string_view tid = next_line(rest);
        if (parse_unsigned(tid)) add(census, status_of(tid));
      }
    }
    for (const std::string& name : subdirectories(cgroup, path)) {
      pending.push_back(join(path, "/", name));
    }
  }
  return census;
}

}  // namespace sysbox::fs

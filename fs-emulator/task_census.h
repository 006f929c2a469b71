#pragma once

// Counts the tasks of a container by looking at each: what runs, what waits for a disk, how often
// they were switched. Kernels keep none of it per cgroup.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/root_dir.h"

namespace sysbox::fs {

// Of one task, from /proc/TID/status.
struct TaskStatus {
  char state = '?';  // as in ps(1): R runs or wants to, D waits for a disk
  std::uint64_t pid_in_container = 0;
  std::uint64_t context_switches = 0;
};
// Whatever is missing in the text stays as it is above.
TaskStatus parse_task_status(std::string_view status);

struct TaskCensus {
  std::uint64_t tasks = 0;
  std::uint64_t running = 0;
  std::uint64_t blocked = 0;
  std::uint64_t highest_pid = 0;  // in the container
  std::uint64_t context_switches = 0;
};

// Of the cgroup and those below it; `task_list` is the file that lists a cgroup's tasks. Looks at
// `limit` tasks at most.
TaskCensus take_census(const RootDir& cgroup, const std::string& task_list,
                       const std::function<TaskStatus(std::string_view tid)>& status_of,
                       std::size_t limit);

}  // namespace sysbox::fs

#include "fs-emulator/container_view.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "fs-emulator/text_fields.h"

namespace sysbox::fs {
namespace {

// Beyond these a load average is an estimate: the reader must stay cheap.
constexpr std::size_t kMaxCountedTasks = 1024;

std::uint64_t read_ns(clockid_t clock) {
  struct timespec time {};
  ::clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * kNsPerSecond +
         static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace

ClockReading read_clock() { return {read_ns(CLOCK_BOOTTIME), read_ns(CLOCK_REALTIME)}; }

ContainerView::ContainerView(const ContainerViewParts& parts) : parts_(parts) {
  if (parts_.requester_pid_on_host <= 0) return;
  const Result<std::string> text =
      parts_.host.proc.read_file(join(parts_.requester_pid_on_host, "/cgroup"));
  if (!text.ok()) return;
  Result<CgroupMembership> membership = parse_cgroup_membership(text.value());
  if (membership.ok()) membership_ = std::move(membership).value();
}

Result<std::string> ContainerView::host_proc(const std::string& file) const {
  return parts_.host.proc.read_file(file);
}

Result<std::string> ContainerView::host_sys(const std::string& file) const {
  return parts_.host.sys.read_file(file);
}

std::uint64_t ContainerView::since_start_ns() const {
  return parts_.now.boot_ns - std::min(parts_.now.boot_ns, parts_.start_boot_ns);
}

std::uint64_t ContainerView::uptime_ns() const {
  const std::int64_t own_offset = parts_.boottime_offset_ns;
  std::int64_t offset = own_offset;
  if (parts_.requester_pid_on_host > 0) {
    // A kernel without time namespaces has no such file.
    const Result<std::string> offsets =
        parts_.host.proc.read_file(join(parts_.requester_pid_on_host, "/timens_offsets"));
    if (offsets.ok()) offset = parse_boottime_offset(offsets.value());
  }
  const std::int64_t up = own_offset != 0 ? static_cast<std::int64_t>(parts_.now.boot_ns) + offset
                                          : static_cast<std::int64_t>(since_start_ns()) + offset;
  return static_cast<std::uint64_t>(std::max<std::int64_t>(up, 0));
}

std::uint64_t ContainerView::boot_wall_seconds() const {
  return (parts_.now.wall_ns - std::min(uptime_ns(), parts_.now.wall_ns)) / kNsPerSecond;
}

Result<CgroupLevels> ContainerView::levels(std::string_view controller) const {
  return parts_.cgroups.levels(controller, membership_ ? &*membership_ : nullptr);
}

Result<MemoryUse> ContainerView::memory() const {
  const CgroupLevels memory = TRY(levels("memory"));
  return read_memory_use(memory);
}

std::vector<unsigned> ContainerView::allowed_cpus() const {
  const Result<CgroupLevels> cpuset = levels("cpuset");
  if (cpuset.ok()) {
    std::vector<unsigned> cpus = read_cpu_set(cpuset.value());
    if (!cpus.empty()) return cpus;
  }
  const Result<std::string> online = parts_.host.sys.read_file("devices/system/cpu/online");
  if (online.ok()) {
    std::vector<unsigned> cpus = parse_cpu_list(online.value());
    if (!cpus.empty()) return cpus;
  }
  return {0};
}

CpuView ContainerView::cpus() const {
  CpuView view{allowed_cpus(), ""};
  const Result<CgroupLevels> cpu = levels("cpu");
  if (!cpu.ok()) return view;
  const CpuQuota quota = read_cpu_quota(cpu.value());
  if (!quota.cpus) return view;
  const auto whole_cpus = static_cast<std::size_t>(std::max(1.0, std::ceil(*quota.cpus)));
  if (whole_cpus < view.host_cpus.size()) view.host_cpus.resize(whole_cpus);
  view.level = quota.level;
  return view;
}

std::vector<unsigned> ContainerView::memory_nodes() const {
  const Result<CgroupLevels> cpuset = levels("cpuset");
  if (cpuset.ok()) {
    std::vector<unsigned> nodes = read_memory_node_set(cpuset.value());
    if (!nodes.empty()) return nodes;
  }
  const Result<std::string> online = host_sys("devices/system/node/online");
  return online.ok() ? parse_cpu_list(online.value()) : std::vector<unsigned>{};
}

CpuTable ContainerView::cpu_table(const CpuView& cpus) const {
  CpuSample sample;
  sample.since_start_ns = since_start_ns();
  sample.cpu_count = cpus.host_cpus.size();
  const Result<CgroupLevels> cpuacct = levels("cpuacct");
  if (cpuacct.ok()) {
    const Result<CpuTimes> times = read_cpu_times(cpuacct.value(), cpus.level);
    if (times.ok()) {
      sample.user_ns = times.value().user_ns;
      sample.system_ns = times.value().system_ns;
    }
  }
  const std::lock_guard lock(parts_.history.mutex);
  return parts_.history.cpu_history(cpus.level).update(sample);
}

ContainerView::Load ContainerView::load() const {
  // The container as a whole, whoever asks: a load is of a machine.
  std::uint64_t busy_ns = 0;
  if (const auto cpuacct = parts_.cgroups.levels("cpuacct", nullptr); cpuacct.ok()) {
    const CpuTimes times = read_cpu_times(cpuacct.value(), "").value_or({});
    busy_ns = times.user_ns + times.system_ns;
  }
  if (const auto cpu = parts_.cgroups.levels("cpu", nullptr); cpu.ok()) {
    busy_ns += read_throttled_ns(cpu.value(), "");
  }
  const std::uint64_t now_ns = parts_.now.boot_ns;
  bool wants_census = false;
  {
    const std::lock_guard lock(parts_.history.mutex);
    wants_census = parts_.history.load.wants_count(now_ns);
  }
  const TaskCensus census = wants_census ? count_tasks() : TaskCensus{};
  const TaskStatus requester = status_of(std::to_string(parts_.requester_pid_on_host));

  Load load;
  {
    const std::lock_guard lock(parts_.history.mutex);
    ContainerHistory& history = parts_.history;
    if (wants_census) {
      history.load.update(now_ns, busy_ns, census.running + census.blocked);
      history.take_in(census);
    }
    history.last_pid = std::max(history.last_pid, requester.pid_in_container);
    load.averages = history.load.averages();
    load.running = history.census.running;
    load.blocked = history.census.blocked;
    load.tasks = history.census.tasks;
    load.context_switches = history.context_switches;
    load.last_pid = std::max<std::uint64_t>(history.last_pid, 1);
  }
  if (const auto pids = parts_.cgroups.levels("pids", nullptr); pids.ok()) {
    load.tasks = read_task_count(pids.value()).value_or(load.tasks);
  }
  load.tasks = std::max<std::uint64_t>(load.tasks, 1);
  // With the reader itself; no more can run at once than there are tasks.
  load.running = std::min(load.running + 1, load.tasks);
  return load;
}

TaskStatus ContainerView::status_of(std::string_view tid) const {
  const Result<std::string> text = parts_.host.proc.read_file(join(tid, "/status"));
  return text.ok() ? parse_task_status(text.value()) : TaskStatus{};
}

TaskCensus ContainerView::count_tasks() const {
  for (const char* controller : {"pids", "cpu", "memory"}) {
    const Result<CgroupLevels> levels = parts_.cgroups.levels(controller, nullptr);
    if (!levels.ok()) continue;
    const bool is_v1 = levels.value().version == CgroupLevels::Version::kOne;
    const std::string requester = std::to_string(parts_.requester_pid_on_host);
    return take_census(
        levels.value().levels.back().directory, is_v1 ? "tasks" : "cgroup.threads",
        [this, &requester](std::string_view tid) {
          TaskStatus task = status_of(tid);
          // It runs because it asks; counting it would make a load out of looking.
          if (tid == requester) task.state = '?';
          return task;
        },
        kMaxCountedTasks);
  }
  return {};
}

std::int64_t parse_boottime_offset(std::string_view timens_offsets) {
  while (!timens_offsets.empty()) {
    std::string_view line = next_line(timens_offsets);
    if (next_field(line) != "boottime") continue;
    std::string_view seconds = next_field(line);
    const bool is_negative = seconds.starts_with('-');
    if (is_negative) seconds.remove_prefix(1);
    // The nanoseconds count forwards, of a negative offset as well.
    const auto whole = static_cast<std::int64_t>(parse_unsigned(seconds).value_or(0));
    const auto rest = static_cast<std::int64_t>(parse_unsigned(line).value_or(0));
    return (is_negative ? -whole : whole) * static_cast<std::int64_t>(kNsPerSecond) + rest;
  }
  return 0;
}

}  // namespace sysbox::fs

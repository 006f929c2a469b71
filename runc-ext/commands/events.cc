#include "common/log.h"
#include "runc-ext/cgroup/oom_watch.h"
#include "runc-ext/commands/commands.h"
#include "runc-ext/commands/duration.h"
#include "runc-ext/commands/stats_json.h"

namespace sysbox::runc {
namespace {

constexpr std::chrono::milliseconds kShortestInterval{1};

// Until the container ends: how it stands each interval, and when it was out of memory.
Result<void> print_events(const std::string& id, const CgroupState& cgroup,
                          std::chrono::milliseconds interval) {
  OomWatch watch = TRY(OomWatch::start(cgroup));
  Deadline next = after(interval);
  for (;;) {
    const OomWatch::Event event = TRY(watch.wait(next));
    if (event == OomWatch::Event::kContainerEnded) return {};
    if (event == OomWatch::Event::kOutOfMemory) {
      TRY(print(oom_event_text(id) + "\n"));
      continue;
    }
    const Result<ContainerStats> stats = read_stats(cgroup);
    if (stats.ok()) {
      TRY(print(stats_event_text(id, stats.value()) + "\n"));
    } else {
      log::error(stats.error().message());
    }
    next = after(interval);
  }
}

}  // namespace

Result<int> events_command(Invocation& call) {
  bool stats_only = false;
  std::string interval_text = "5s";
  call.flags.add("--interval", interval_text, "how often to show the statistics [5s]");
  call.flags.add("--stats", stats_only, "show the statistics once");
  const std::vector<std::string> arguments = TRY(call.parse(1, 1));
  const auto interval = TRY(parse_duration(interval_text).in("--interval"));
  if (interval.count() <= 0) {
    return Error(EINVAL, "--interval: duration interval must be greater than 0");
  }
  const ContainerView view = TRY(view_container(call.runtime, arguments[0]));
  if (view.state.status == status_name(ContainerStatus::kStopped)) {
    return Error(ESRCH, join("container with id ", arguments[0], " is not running"));
  }
  const CgroupState& cgroup = view.record.cgroup;
  if (stats_only) {
    const ContainerStats stats = TRY(read_stats(cgroup));
    TRY(print(stats_event_text(arguments[0], stats) + "\n"));
    return 0;
  }
  TRY(print_events(arguments[0], cgroup,
                   std::max(std::chrono::duration_cast<std::chrono::milliseconds>(interval),
                            kShortestInterval)));
  return 0;
}

}  // namespace sysbox::runc

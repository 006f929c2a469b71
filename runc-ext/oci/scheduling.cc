#include "runc-ext/oci/scheduling.h"

#include <linux/ioprio.h>
#include <linux/sched.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <string_view>

#include "common/json_fields.h"

namespace sysbox::runc {
namespace {

struct Name {
  std::string_view name;
  std::uint32_t number;
};
constexpr std::uint32_t kPolicyIso = 4;  // reserved, not in any released kernel
constexpr std::array kPolicies = {
    Name{"SCHED_BATCH", SCHED_BATCH}, Name{"SCHED_DEADLINE", SCHED_DEADLINE},
    Name{"SCHED_FIFO", SCHED_FIFO},   Name{"SCHED_IDLE", SCHED_IDLE},
    Name{"SCHED_ISO", kPolicyIso},    Name{"SCHED_OTHER", SCHED_NORMAL},
    Name{"SCHED_RR", SCHED_RR},
};
constexpr std::array kFlags = {
    Name{"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
    Name{"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
    Name{"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
    Name{"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
    Name{"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
    Name{"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
    Name{"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
};
constexpr std::array kIoClasses = {
    Name{"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
    Name{"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
    Name{"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
};
constexpr int kMaxIoPriority = 7;
constexpr std::int32_t kLowestNice = -20;
constexpr std::int32_t kHighestNice = 19;

template <std::size_t kCount>
std::optional<std::uint32_t> number_of(const std::array<Name, kCount>& names,
                                       const std::string& name) {
  const auto* found = std::find_if(names.begin(), names.end(),
                                   [&name](const Name& row) { return row.name == name; });
  if (found == names.end()) return std::nullopt;
  return found->number;
}

std::optional<unsigned> take_number(std::string_view& text) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number >= kMaxCpus) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

void check_cpu_list(JsonFields& in, std::string_view member, const std::string& list) {
  if (!list.empty() && !parse_cpu_list(list)) {
    in.fail(in.path_of(member), join("'", list, "' is not a list of CPUs such as 0-3,7"));
  }
}

// What sched_setattr(2) ignores or refuses without a word of why.
void check_scheduler(JsonFields& in, const OciScheduler& scheduler) {
  const std::string& policy = scheduler.policy;
  const bool has_nice = policy == "SCHED_OTHER" || policy == "SCHED_BATCH";
  if (has_nice && (scheduler.nice < kLowestNice || scheduler.nice > kHighestNice)) {
    in.fail(in.path_of("nice"), join(scheduler.nice, " is not between -20 and 19"));
  }
  if (scheduler.priority != 0 && policy != "SCHED_FIFO" && policy != "SCHED_RR") {
    in.fail(in.path_of("priority"), "goes with the policies SCHED_FIFO and SCHED_RR only");
  }
  if (policy == "SCHED_DEADLINE") return;
  if (scheduler.runtime != 0 || scheduler.deadline != 0 || scheduler.period != 0) {
    in.fail(in.path_of(scheduler.runtime != 0    ? "runtime"
                       : scheduler.deadline != 0 ? "deadline"
                                                 : "period"),
            "goes with the policy SCHED_DEADLINE only");
  }
}

}  // namespace

std::optional<std::vector<unsigned>> parse_cpu_list(const std::string& list) {
  std::set<unsigned> cpus;
  std::string_view rest = list;
  for (;;) {
    const std::optional<unsigned> first = take_number(rest);
    if (!first) return std::nullopt;
    std::optional<unsigned> last = first;
    if (rest.starts_with('-')) {
      rest.remove_prefix(1);
      last = take_number(rest);
      if (!last || *last < *first) return std::nullopt;
    }
    for (unsigned cpu = *first; cpu <= *last; ++cpu) cpus.insert(cpu);
    if (rest.empty()) return std::vector<unsigned>(cpus.begin(), cpus.end());
    if (rest.front() != ',') return std::nullopt;
    rest.remove_prefix(1);
  }
}

Result<OciScheduler> parse_scheduler(const nlohmann::json& scheduler, const std::string& path) {
  OciScheduler out;
  JsonFields in(scheduler, path);
  in.required("policy", out.policy);
  if (const auto number = number_of(kPolicies, out.policy)) {
    out.policy_number = *number;
  } else {
    in.fail(in.path_of("policy"), join("'", out.policy, "' is not a scheduling policy"));
  }
  in.optional("flags", out.flags);
  for (const std::string& flag : out.flags) {
    const auto bit = number_of(kFlags, flag);
    if (!bit) in.fail(in.path_of("flags"), join("'", flag, "' is not a scheduling flag"));
    out.flag_bits |= bit.value_or(0);
  }
  in.optional("nice", out.nice);
  in.optional("priority", out.priority);
  in.optional("runtime", out.runtime);
  in.optional("deadline", out.deadline);
  in.optional("period", out.period);
  check_scheduler(in, out);
  TRY(std::move(in).finish());
  return out;
}

Result<OciIoPriority> parse_io_priority(const nlohmann::json& priority, const std::string& path) {
  OciIoPriority out;
  JsonFields in(priority, path);
  in.required("class", out.io_class);
  if (const auto number = number_of(kIoClasses, out.io_class)) {
    out.class_number = static_cast<int>(*number);
  } else {
    in.fail(in.path_of("class"), join("'", out.io_class, "' is not an I/O scheduling class"));
  }
  in.optional("priority", out.priority);
  if (out.priority < 0 || out.priority > kMaxIoPriority) {
    in.fail(in.path_of("priority"), join(out.priority, " is not between 0 and 7"));
  }
  TRY(std::move(in).finish());
  return out;
}

Result<OciCpuAffinity> parse_cpu_affinity(const nlohmann::json& affinity, const std::string& path) {
  OciCpuAffinity out;
  JsonFields in(affinity, path);
  in.optional("initial", out.initial);
  check_cpu_list(in, "initial", out.initial);
  in.optional("final", out.final);
  check_cpu_list(in, "final", out.final);
  TRY(std::move(in).finish());
  return out;
}

}  // namespace sysbox::runc

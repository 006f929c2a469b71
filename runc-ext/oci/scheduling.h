#pragma once

// config.json "process": scheduler, ioPriority and execCPUAffinity.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"

namespace sysbox::runc {

// sched_setattr(2).
struct OciScheduler {
  std::string policy;  // "SCHED_BATCH"
  std::uint32_t policy_number = 0;
  std::vector<std::string> flags;  // "SCHED_FLAG_RESET_ON_FORK"
  std::uint64_t flag_bits = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0;  // nanoseconds, like the two below
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
};

// ioprio_set(2).
struct OciIoPriority {
  std::string io_class;  // "IOPRIO_CLASS_BE"
  int class_number = 0;
  int priority = 0;
};

// Lists such as "0-3,7": the CPUs of an exec'ed process before and after it enters the
// container's cgroups. Empty: not given.
struct OciCpuAffinity {
  std::string initial;
  std::string final;
};

Result<OciScheduler> parse_scheduler(const nlohmann::json& scheduler, const std::string& path);
Result<OciIoPriority> parse_io_priority(const nlohmann::json& priority, const std::string& path);
Result<OciCpuAffinity> parse_cpu_affinity(const nlohmann::json& affinity, const std::string& path);

// The numbers of a list in cpuset(7)'s form, each once, in order; nothing if it is none.
constexpr unsigned kMaxCpus = 8192;
std::optional<std::vector<unsigned>> parse_cpu_list(const std::string& list);

}  // namespace sysbox::runc

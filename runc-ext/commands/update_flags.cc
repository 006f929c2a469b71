#include "runc-ext/commands/update_flags.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "common/log.h"

namespace sysbox::runc {
namespace {

template <typename Number>
Result<void> read_number(const char* flag, const std::string& text, std::optional<Number>& field) {
  if (text.empty()) return {};
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::result_out_of_range) {
    return Error(EINVAL, join("invalid value for ", flag, ": '", text, "' is out of range"));
  }
  if (error != std::errc() || end != text.data() + text.size()) {
    return Error(EINVAL, join("invalid value for ", flag, ": '", text, "' is no number"));
  }
  field = number;
  return {};
}

Result<void> read_size(const char* flag, const std::string& text,
                       std::optional<std::int64_t>& field) {
  if (text.empty()) return {};
  field = text == "-1" ? -1 : TRY(parse_ram_size(text).in(join("invalid value for ", flag)));
  return {};
}

Result<void> read_cpu_flags(const UpdateFlags& values, OciCpu& cpu) {
  TRY(read_number("cpu-idle", values.cpu_idle, cpu.idle));
  if (cpu.idle && *cpu.idle != 0 && *cpu.idle != 1) {
    return Error(EINVAL, join("invalid value for cpu-idle: ", *cpu.idle, " is not 0 or 1"));
  }
  TRY(read_number("cpu-burst", values.cpu_burst, cpu.burst));
  TRY(read_number("cpu-period", values.cpu_period, cpu.period));
  TRY(read_number("cpu-rt-period", values.cpu_rt_period, cpu.realtime_period));
  TRY(read_number("cpu-share", values.cpu_share, cpu.shares));
  TRY(read_number("cpu-quota", values.cpu_quota, cpu.quota));
  TRY(read_number("cpu-rt-runtime", values.cpu_rt_runtime, cpu.realtime_runtime));
  cpu.cpus = values.cpuset_cpus;
  cpu.mems = values.cpuset_mems;
  return {};
}

Result<void> read_memory_flags(const UpdateFlags& values, OciMemory& memory) {
  TRY(read_size("memory", values.memory, memory.limit));
  TRY(read_size("memory-swap", values.memory_swap, memory.swap));
  TRY(read_size("memory-reservation", values.memory_reservation, memory.reservation));
  std::optional<std::int64_t> ignored;
  TRY(read_size("kernel-memory", values.kernel_memory, ignored));
  TRY(read_size("kernel-memory-tcp", values.kernel_memory_tcp, ignored));
  if (ignored) log::warning("Kernel memory settings are ignored and will be removed");
  return {};
}

// 0 means "not given", as in config.json.
void drop_zeros(OciResources& resources) {
  const auto drop = [](auto& field) {
    if (field && *field == 0) field.reset();
  };
  drop(resources.cpu.period);
  drop(resources.cpu.realtime_period);
  drop(resources.cpu.shares);
  drop(resources.cpu.quota);
  drop(resources.cpu.realtime_runtime);
  drop(resources.memory.limit);
  drop(resources.memory.swap);
  drop(resources.memory.reservation);
}

}  // namespace

void add_update_flags(Flags& flags, UpdateFlags& values) {
  flags.add("--blkio-weight", values.blkio_weight, "block io weight, 10 to 1000");
  flags.add("--cpu-period", values.cpu_period, "cpu period in microseconds");
  flags.add("--cpu-quota", values.cpu_quota,
            "cpu time in each period, in microseconds; -1 lifts the limit");
  flags.add("--cpu-burst", values.cpu_burst,
            "cpu time left over that may be used later, in microseconds");
  flags.add("--cpu-share", values.cpu_share, "weight against other containers' cpu time");
  flags.add("--cpu-rt-period", values.cpu_rt_period, "realtime period in microseconds (cgroup v1)");
  flags.add("--cpu-rt-runtime", values.cpu_rt_runtime,
            "realtime cpu time in each period, in microseconds (cgroup v1)");
  flags.add("--cpuset-cpus", values.cpuset_cpus, "cpus to use, such as 0-2,5");
  flags.add("--cpuset-mems", values.cpuset_mems, "memory nodes to use");
  flags.add("--kernel-memory", values.kernel_memory, "ignored");
  flags.add("--kernel-memory-tcp", values.kernel_memory_tcp, "ignored");
  flags.add("--memory", values.memory, "memory limit, such as 64M; -1 lifts it");
  flags.add("--cpu-idle", values.cpu_idle, "1: run only when nobody else wants the cpu; 0: not so");
  flags.add("--memory-reservation", values.memory_reservation,
            "memory that is taken from the container last; -1 lifts it");
  flags.add("--memory-swap", values.memory_swap, "limit of memory and swap together; -1 lifts it");
  flags.add("--pids-limit", values.pids_limit, "number of processes and threads; -1 lifts it");
  flags.add("--l3-cache-schema", values.l3_cache_schema, "Intel RDT/CAT schema");
  flags.add("--mem-bw-schema", values.mem_bw_schema, "Intel RDT/MBA schema");
}

Result<OciResources> resources_of(const UpdateFlags& values) {
  OciResources resources;
  TRY(read_cpu_flags(values, resources.cpu));
  TRY(read_memory_flags(values, resources.memory));
  if (values.pids_limit != 0) resources.pids_limit = values.pids_limit;
  if (values.blkio_weight != 0) {
    if (values.blkio_weight < 0 ||
        values.blkio_weight > std::numeric_limits<std::uint16_t>::max()) {
      return Error(EINVAL, join("invalid value for blkio-weight: ", values.blkio_weight,
                                " is not between 10 and 1000"));
    }
    resources.block_io.weight = static_cast<std::uint16_t>(values.blkio_weight);
  }
  drop_zeros(resources);
  return resources;
}

Result<std::int64_t> parse_ram_size(std::string_view text) {
  const Error invalid(EINVAL, join("invalid size: '", text, "'"));
  const std::size_t last = text.find_last_of("0123456789. ");
  if (last == std::string_view::npos) return invalid;
  std::string_view number = text.substr(0, last + 1);
  if (number.ends_with(' ')) number.remove_suffix(1);
  double size = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), size);
  if (error != std::errc() || end != number.data() + number.size() || size < 0) return invalid;

  std::string unit(text.substr(last + 1));
  std::transform(unit.begin(), unit.end(), unit.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  constexpr std::string_view kUnits = "bkmgtp";
  if (!unit.empty()) {
    const std::size_t power = kUnits.find(unit[0]);
    const std::string_view rest = std::string_view(unit).substr(1);
    const bool known = rest.empty() || (power > 0 && (rest == "b" || rest == "ib"));
    if (power == std::string_view::npos || !known) return invalid;
    for (std::size_t i = 0; i < power; ++i) size *= 1024;
  }
  if (size >= static_cast<double>(std::numeric_limits<std::int64_t>::max())) return invalid;
  return static_cast<std::int64_t>(size);
}

}  // namespace sysbox::runc

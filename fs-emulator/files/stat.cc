#include "fs-emulator/emulated_file.h"
#include "fs-emulator/text_fields.h"

namespace sysbox::fs {
namespace {

constexpr std::uint64_t kNsPerTick = 10'000'000;  // USER_HZ is 100 on every architecture of ours
constexpr int kSoftirqs = 10;

// user nice system idle iowait irq softirq steal guest guest_nice
void append_cpu(std::string& out, const std::string& name, const CpuCounters& counters) {
  out += join(name, " ", counters.user_ns / kNsPerTick, " 0 ", counters.system_ns / kNsPerTick, " ",
              counters.idle_ns / kNsPerTick, " 0 0 0 0 0 0\n");
}

}  // namespace

Result<std::string> read_stat(const ContainerView& container) {
  const CpuTable table = container.cpu_table(container.cpus());
  std::string out;
  append_cpu(out, "cpu ", table.total);  // two blanks, as the kernel writes it
  for (std::size_t i = 0; i < table.cpus.size(); ++i) {
    append_cpu(out, join("cpu", i), table.cpus[i]);
  }
  const ContainerView::Load load = container.load();
  out += "intr 0\n";  // none is delivered to a container
  out += join("ctxt ", load.context_switches, "\n");
  out += join("btime ", container.boot_wall_seconds(), "\n");
  out += join("processes ", load.last_pid, "\n");
  out += join("procs_running ", load.running, "\nprocs_blocked ", load.blocked, "\n");
  out += "softirq 0";
  for (int i = 0; i < kSoftirqs; ++i) out += " 0";
  out += '\n';
  return out;
}

}  // namespace sysbox::fs

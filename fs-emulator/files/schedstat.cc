#include "fs-emulator/emulated_file.h"
#include "fs-emulator/text_fields.h"

namespace sysbox::fs {

// The time that tasks ran is all that is known of a cpu; scheduling domains are the host's.
Result<std::string> read_schedstat(const ContainerView& container) {
  constexpr std::uint64_t kNsPerTick = 10'000'000;
  const std::string host = TRY(container.host_proc("schedstat"));
  std::string_view rest = host;
  std::string out = join(next_line(rest), "\n");  // "version 17"
  out += join("timestamp ", container.since_start_ns() / kNsPerTick, "\n");
  const CpuTable table = container.cpu_table(container.cpus());
  for (std::size_t i = 0; i < table.cpus.size(); ++i) {
    const CpuCounters& cpu = table.cpus[i];
    out += join("cpu", i, " 0 0 0 0 0 0 ", cpu.user_ns + cpu.system_ns, " 0 0\n");
  }
  return out;
}

}  // namespace sysbox::fs

#include "fs-emulator/disk_use.h"
#include "fs-emulator/emulated_file.h"
#include "fs-emulator/text_fields.h"

namespace sysbox::fs {

// The disks of /proc/diskstats, and no others of the host.
Result<std::string> read_partitions(const ContainerView& container) {
  const DiskUses uses = read_disk_uses(container);
  const std::string host = TRY(container.host_proc("partitions"));
  std::string out = "major minor  #blocks  name\n\n";
  std::string_view rest = host;
  while (!rest.empty()) {
    const std::string_view whole = next_line(rest);
    std::string_view line = whole;
    const std::string_view major = next_field(line);
    const std::string_view minor = next_field(line);
    if (uses.find(join(major, ":", minor)) != uses.end()) out += join(whole, "\n");
  }
  return out;
}

}  // namespace sysbox::fs

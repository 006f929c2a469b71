#include "fs-emulator/disk_use.h"
#include "fs-emulator/emulated_file.h"
#include "fs-emulator/text_fields.h"

namespace sysbox::fs {

// Only disks that the container has used. Merges and times are not counted per container.
Result<std::string> read_diskstats(const ContainerView& container) {
  constexpr std::uint64_t kSector = 512;
  const DiskUses uses = read_disk_uses(container);
  if (uses.empty()) return std::string();
  const std::string host = TRY(container.host_proc("diskstats"));
  std::string out;
  std::string_view rest = host;
  while (!rest.empty()) {
    const std::string_view whole = next_line(rest);
    std::string_view line = whole;
    const std::string_view major = next_field(line);
    const std::string_view minor = next_field(line);
    const std::string_view name = next_field(line);
    const auto found = uses.find(join(major, ":", minor));
    if (found == uses.end() || name.empty()) continue;
    const DiskUse& use = found->second;
    out += whole.substr(0, whole.size() - line.size());  // the two numbers and the name
    out += join(" ", use.reads, " 0 ", use.read_bytes / kSector, " 0 ", use.writes, " 0 ",
                use.write_bytes / kSector, " 0 0 0 0 ", use.discards, " 0 ",
                use.discard_bytes / kSector, " 0 0 0\n");
  }
  return out;
}

}  // namespace sysbox::fs

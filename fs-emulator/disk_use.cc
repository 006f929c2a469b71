#include "fs-emulator/disk_use.h"

#include <array>

#include "fs-emulator/text_fields.h"

namespace sysbox::fs {
namespace {

struct Field {
  std::string_view name;
  std::uint64_t DiskUse::*count;
};

// v1: one file per quantity, lines "254:0 Read 4096".
void add_v1(DiskUses& uses, std::string_view text, std::uint64_t DiskUse::*read,
            std::uint64_t DiskUse::*write, std::uint64_t DiskUse::*discard) {
  const std::array fields = {Field{"Read", read}, Field{"Write", write}, Field{"Discard", discard}};
  while (!text.empty()) {
    std::string_view line = next_line(text);
    const std::string_view device = next_field(line);
    const std::string_view what = next_field(line);
    const auto number = parse_unsigned(line);
    if (!number || device.find(':') == std::string_view::npos) continue;
    for (const Field& field : fields) {
      if (what == field.name) uses[std::string(device)].*field.count = *number;
    }
  }
}

// v2: lines "254:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0".
void add_v2(DiskUses& uses, std::string_view text) {
  constexpr std::array kFields = {
      Field{"rbytes", &DiskUse::read_bytes},    Field{"wbytes", &DiskUse::write_bytes},
      Field{"rios", &DiskUse::reads},           Field{"wios", &DiskUse::writes},
      Field{"dbytes", &DiskUse::discard_bytes}, Field{"dios", &DiskUse::discards}};
  while (!text.empty()) {
    std::string_view line = next_line(text);
    const std::string_view device = next_field(line);
    while (!line.empty()) {
      const std::string_view pair = next_field(line);
      const std::size_t equals = pair.find('=');
      if (equals == std::string_view::npos) continue;
      for (const Field& field : kFields) {
        if (pair.substr(0, equals) != field.name) continue;
        uses[std::string(device)].*field.count =
            parse_unsigned(pair.substr(equals + 1)).value_or(0);
      }
    }
  }
}

}  // namespace

DiskUses read_disk_uses(const ContainerView& container) {
  DiskUses uses;
  const Result<CgroupLevels> levels = container.levels("blkio");
  if (!levels.ok()) return uses;
  const RootDir& directory = levels.value().levels.back().directory;
  if (levels.value().version == CgroupLevels::Version::kTwo) {
    add_v2(uses, directory.read_file("io.stat").value_or(""));
    return uses;
  }
  add_v1(uses, directory.read_file("blkio.throttle.io_service_bytes_recursive").value_or(""),
         &DiskUse::read_bytes, &DiskUse::write_bytes, &DiskUse::discard_bytes);
  add_v1(uses, directory.read_file("blkio.throttle.io_serviced_recursive").value_or(""),
         &DiskUse::reads, &DiskUse::writes, &DiskUse::discards);
  return uses;
}

}  // namespace sysbox::fs

#include "fs-emulator/list_files.h"

#include <array>
#include <cstdio>
#include <limits>

#include "common/result.h"
#include "fs-emulator/emulated_file.h"
#include "fs-emulator/host_hardware.h"
#include "fs-emulator/sysctl.h"

namespace sysbox::fs {
namespace {

std::string octal(mode_t mode) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%04o", mode);
  return text.data();
}

std::string accepted_values(const Sysctl& sysctl) {
  if ((sysctl.mode & 0222U) == 0) return "read-only";
  if (sysctl.policy == SysctlPolicy::UtsName) return "what sethostname(2) and setdomainname(2) do";
  if (sysctl.format == SysctlFormat::kChoice) return "one of its words";
  if (sysctl.format == SysctlFormat::kText) return join("text of at most ", sysctl.max, " bytes");
  const bool any_int = sysctl.min == std::numeric_limits<std::int32_t>::min() &&
                       sysctl.max == std::numeric_limits<std::int32_t>::max();
  std::string range = any_int ? "any int" : join(sysctl.min, " … ", sysctl.max);
  if (sysctl.format == SysctlFormat::kAnyUnsignedLong) range = join(sysctl.min, " or more");
  if (sysctl.format == SysctlFormat::kPipeSize) range = "rounded up to a power of two";
  if (sysctl.count > 1) range += join(" (", sysctl.count, " numbers)");
  if (sysctl.policy == SysctlPolicy::Trigger) range += ", accepted without effect";
  return range;
}

std::string initial_value(const Sysctl& sysctl) {
  if (sysctl.policy == SysctlPolicy::Trigger) return "";
  if (sysctl.policy == SysctlPolicy::UtsName) return "the container's";
  if (sysctl.policy == SysctlPolicy::UuidPerContainer) return "a new UUID at each start";
  if (sysctl.initial == kHostValue) return "the host's";
  std::string value;
  for (const char c : sysctl.initial) value += c == '\t' || c == '\n' ? ' ' : c;
  return value;
}

std::string covered_part(const HardwarePlace& place) {
  if (place.covers == HardwarePlace::Covers::kItself) return "itself";
  return join("each directory in it but ", place.keeps);
}

}  // namespace

std::string list_files_as_markdown() {
  std::string out =
      "# Emulated files\n\n"
      "Printed by `sysbox-fs --list-files`. A system container has the real procfs of its pid\n"
      "namespace and the real sysfs of its network namespace; over these files and directories\n"
      "of them lies one of ours. What is not listed is the kernel's own, with its rules for user\n"
      "namespaces.\n\n"
      "## Made for each reader\n\n"
      "From the cgroup limits of the process that reads, so that a nested container sees its\n"
      "own.\n\n"
      "| file | mode | shows |\n|---|---|---|\n";
  for (const EmulatedFile& file : emulated_files()) {
    out += join("| ", file.path, " | ", octal(file.mode), " | ", file.shows, " |\n");
  }
  out += "\nDirectories that are wholly ours:\n\n| directory | shows |\n|---|---|\n";
  for (const EmulatedDirectory& directory : emulated_directories()) {
    out += join("| ", directory.path, " | ", directory.shows, " |\n");
  }
  out +=
      "\n## Settings kept per container\n\n"
      "Written values stay in the container and never reach the host. Other values than the\n"
      "accepted ones are EINVAL, as with the kernel.\n\n"
      "| file | mode | accepts | at first |\n|---|---|---|---|\n";
  for (const Sysctl& sysctl : sysctls()) {
    out += join("| ", sysctl.path, " | ", octal(sysctl.mode), " | ", accepted_values(sysctl), " | ",
                initial_value(sysctl), " |\n");
  }
  out += "\n## Covered by an empty directory\n\n| path | because |\n|---|---|\n";
  for (const MaskedPath& mask : masked_paths()) {
    out += join("| ", mask.path, " | ", mask.because, " |\n");
  }
  out +=
      "\n## Covered unless the container has devices of the host\n\n"
      "These are looked up on each machine. `io.sysbox.hardware` (see switches.md) decides\n"
      "otherwise.\n\n"
      "| path | covers | because |\n|---|---|---|\n";
  for (const HardwarePlace& place : hardware_places()) {
    out += join("| ", place.path, " | ", covered_part(place), " | ", place.because, " |\n");
  }
  return out;
}

}  // namespace sysbox::fs

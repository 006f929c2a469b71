// /proc/pressure/*: the pressure stall information of the cgroup whose limit is felt.

#include <fcntl.h>

#include <cerrno>

#include "fs-emulator/emulated_file.h"

namespace sysbox::fs {
namespace {

// Only cgroup v2 keeps it (with v1 beside it, in its own hierarchy). EOPNOTSUPP is the kernel's
// own answer where it keeps none; zeros would be a lie.
Result<std::string> read_pressure(const ContainerView& container, std::string_view level_name,
                                  const std::string& file) {
  const Result<CgroupLevels> levels = container.levels("");
  if (!levels.ok()) return errno_error(EOPNOTSUPP, file, ": no cgroup v2");
  Result<std::string> text = level_named(levels.value(), level_name).directory.read_file(file);
  if (!text.ok() && text.error().code() == ENOENT) return errno_error(EOPNOTSUPP, file);
  return text;
}

Result<UniqueFd> open_pressure(const ContainerView& container, std::string_view level_name,
                               const std::string& file) {
  const CgroupLevels levels = TRY(container.levels(""));
  return level_named(levels, level_name).directory.open_inside(file, O_RDWR | O_NONBLOCK);
}

std::string memory_level(const ContainerView& container) {
  return container.memory().value_or({}).level;
}

}  // namespace

Result<UniqueFd> open_cpu_pressure(const ContainerView& container) {
  return open_pressure(container, container.cpus().level, "cpu.pressure");
}

Result<UniqueFd> open_io_pressure(const ContainerView& container) {
  return open_pressure(container, "", "io.pressure");
}

Result<UniqueFd> open_irq_pressure(const ContainerView& container) {
  return open_pressure(container, "", "irq.pressure");
}

Result<UniqueFd> open_memory_pressure(const ContainerView& container) {
  return open_pressure(container, memory_level(container), "memory.pressure");
}

Result<std::string> read_cpu_pressure(const ContainerView& container) {
  return read_pressure(container, container.cpus().level, "cpu.pressure");
}

Result<std::string> read_io_pressure(const ContainerView& container) {
  return read_pressure(container, "", "io.pressure");
}

Result<std::string> read_irq_pressure(const ContainerView& container) {
  return read_pressure(container, "", "irq.pressure");
}

Result<std::string> read_memory_pressure(const ContainerView& container) {
  return read_pressure(container, memory_level(container), "memory.pressure");
}

}  // namespace sysbox::fs

#include <array>
#include <cstdio>

#include "fs-emulator/emulated_file.h"

namespace sysbox::fs {

Result<std::string> read_loadavg(const ContainerView& container) {
  const ContainerView::Load load = container.load();
  std::array<char, 160> text{};
  const int size = std::snprintf(
      text.data(), text.size(), "%.2f %.2f %.2f %llu/%llu %llu\n", load.averages[0],
      load.averages[1], load.averages[2], static_cast<unsigned long long>(load.running),
      static_cast<unsigned long long>(load.tasks), static_cast<unsigned long long>(load.last_pid));
  return std::string(text.data(), static_cast<std::size_t>(size));
}

}  // namespace sysbox::fs

#include <array>
#include <cstdio>

#include "fs-emulator/emulated_file.h"

namespace sysbox::fs {

Result<std::string> read_uptime(const ContainerView& container) {
  constexpr std::uint64_t kNsPerHundredth = 10'000'000;
  const std::uint64_t up = container.uptime_ns() / kNsPerHundredth;
  const std::uint64_t idle = container.cpu_table(container.cpus()).total.idle_ns / kNsPerHundredth;
  std::array<char, 96> text{};
  const int size = std::snprintf(
      text.data(), text.size(), "%llu.%02llu %llu.%02llu\n",
      static_cast<unsigned long long>(up / 100), static_cast<unsigned long long>(up % 100),
      static_cast<unsigned long long>(idle / 100), static_cast<unsigned long long>(idle % 100));
  return std::string(text.data(), static_cast<std::size_t>(size));
}

}  // namespace sysbox::fs

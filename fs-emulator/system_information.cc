#include "fs-emulator/system_information.h"

#include <algorithm>

#include "fs-emulator/memory_figures.h"

namespace sysbox::fs {
namespace {

constexpr std::uint64_t kKb = 1024;
constexpr double kLoadScale = 65536;  // SI_LOAD_SHIFT

}  // namespace

Result<seccomp::SystemInformation> system_information(const ContainerView& container) {
  const MemoryFigures memory = TRY(read_memory_figures(container));
  const ContainerView::Load load = container.load();
  seccomp::SystemInformation numbers;
  // As the kernel rounds it.
  numbers.uptime_seconds = (container.uptime_ns() + kNsPerSecond - 1) / kNsPerSecond;
  std::transform(load.averages.begin(), load.averages.end(), numbers.loads.begin(),
                 [](double average) { return static_cast<std::uint64_t>(average * kLoadScale); });
  numbers.total_bytes = memory.total_kb * kKb;
  numbers.free_bytes = memory.free_kb * kKb;
  numbers.shared_bytes = memory.stat.shmem;
  numbers.swap_total_bytes = memory.swap_total_kb * kKb;
  numbers.swap_free_bytes = memory.swap_free_kb * kKb;
  numbers.processes = load.tasks;
  return numbers;
}

}  // namespace sysbox::fs

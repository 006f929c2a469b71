// /proc/interrupts and /proc/softirqs: tables with a column for each cpu.

#include <array>

#include "fs-emulator/emulated_file.h"

namespace sysbox::fs {
namespace {

constexpr std::array<std::string_view, 10> kSoftirqs = {
    "HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"};

std::string heading(std::size_t indent, std::size_t cpus) {
  constexpr std::size_t kColumn = 11;
  std::string out(indent, ' ');
  for (std::size_t i = 0; i < cpus; ++i) {
    std::string name = join("CPU", i);
    name.resize(std::max(kColumn, name.size()), ' ');
    out += name;
  }
  return out + "\n";
}

}  // namespace

// No line of a device: interrupts go to the host.
Result<std::string> read_interrupts(const ContainerView& container) {
  constexpr std::size_t kIndent = 11;
  return heading(kIndent, container.cpus().host_cpus.size());
}

Result<std::string> read_softirqs(const ContainerView& container) {
  constexpr std::size_t kIndent = 20;
  constexpr std::size_t kNameWidth = 12;
  const std::size_t cpus = container.cpus().host_cpus.size();
  std::string out = heading(kIndent, cpus);
  for (const std::string_view name : kSoftirqs) {
    out.append(kNameWidth - name.size(), ' ');
    out += join(name, ":");
    for (std::size_t i = 0; i < cpus; ++i) out += "          0";
    out += '\n';
  }
  return out;
}

}  // namespace sysbox::fs

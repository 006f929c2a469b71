#include <algorithm>
#include <array>
#include <string_view>

#include "common/root_dir.h"
#include "runc-ext/system_container/steps.h"

namespace sysbox::runc {
namespace {

// What engines mask or make read-only by default, and what would hide a place that must be
// writable. sysbox-fs masks what shows the host there, also in a procfs that is mounted later; the
// rest is root's only, and the container's root is not the host's. Masks outside this list stay:
// a user's own, and newer ones of engines for which sysbox-fs has no piece.
constexpr std::array<std::string_view, 21> kUnmasked = {
    "/proc",
    "/proc/acpi",
    "/proc/asound",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/keys",
    "/proc/kmsg",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/cgroup",
};

// Places that systemd mounts, or writes to, itself.
constexpr std::array<std::string_view, 4> kUnmaskedForSystemd = {"/run", "/run/lock", "/tmp",
                                                                 "/sys/kernel"};

template <typename Table>
bool contains(const Table& table, const std::string& path) {
  return std::find(table.begin(), table.end(), path) != table.end();
}

}  // namespace

void unmask_paths(OciLinux& linux_part, Init init) {
  const auto goes = [init](const std::string& path) {
    return contains(kUnmasked, path) ||
           (init == Init::kSystemd && contains(kUnmaskedForSystemd, path));
  };
  std::erase_if(linux_part.masked_paths, goes);
  std::erase_if(linux_part.readonly_paths, goes);
}

}  // namespace sysbox::runc

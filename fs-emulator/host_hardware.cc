#include "fs-emulator/host_hardware.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <array>

#include "common/directory_entries.h"
#include "fs-emulator/text_fields.h"

namespace sysbox::fs {
namespace {

using Covers = HardwarePlace::Covers;

constexpr std::array kPlaces = {
    HardwarePlace{"/proc/acpi", Covers::kItself, "", "hardware"},
    HardwarePlace{"/proc/asound", Covers::kItself, "", "sound cards"},
    HardwarePlace{"/proc/bus", Covers::kItself, "", "cards and input devices"},
    HardwarePlace{"/proc/driver", Covers::kItself, "", "graphics cards with their serial numbers"},
    HardwarePlace{"/proc/fs", Covers::kItsDirectories, "lockd nfs nfsd nfsfs",
                  "names and use of the host's disks; what is kept belongs to a namespace"},
    HardwarePlace{"/proc/irq", Covers::kItself, "", "devices by their interrupts"},
    HardwarePlace{"/proc/scsi", Covers::kItself, "", "disks"},
    HardwarePlace{"/sys/block", Covers::kItself, "", "disks; would lead nowhere"},
    HardwarePlace{"/sys/class/block", Covers::kItself, "", "disks; would lead nowhere"},
    HardwarePlace{"/sys/devices", Covers::kItsDirectories, "system virtual",
                  "hardware with its serial numbers; sources of perf events are kept too"},
    HardwarePlace{"/sys/devices/virtual", Covers::kItsDirectories,
                  "cpuid dmi mem memory_tiering misc msr net powercap tty vc vtconsole workqueue "
                  "xt_idletimer",
                  "disks by their UUIDs and the files behind loop devices, temperatures, one entry "
                  "for each file system of any container"},
    HardwarePlace{"/sys/fs", Covers::kItsDirectories, "bpf cgroup fuse pstore resctrl selinux",
                  "names, UUIDs and use of the host's file systems"},
    HardwarePlace{"/sys/hypervisor", Covers::kItself, "", "UUID of the host as a virtual machine"},
    HardwarePlace{"/sys/kernel/boot_params", Covers::kItself, "", "what the firmware handed over"},
    HardwarePlace{"/sys/kernel/iommu_groups", Covers::kItself, "", "would lead nowhere"},
    HardwarePlace{"/sys/kernel/irq", Covers::kItself, "", "devices by their interrupts"},
};

bool is_kept(const HardwarePlace& place, std::string_view name) {
  std::string_view rest = place.keeps;
  for (std::string_view kept = next_field(rest); !kept.empty(); kept = next_field(rest)) {
    if (kept == name) return true;
  }
  return false;
}

// The processor, software counters, tracepoints: no hardware that could be told apart.
bool is_perf_source(const HostFiles& host, const std::string& directory) {
  return host.sys.exists(directory + "/perf_event_mux_interval_ms").value_or(false);
}

void add_directories(const HostFiles& host, const HardwarePlace& place,
                     std::vector<std::string>& found) {
  const std::string below = HostFiles::below(place.path);
  const Result<UniqueFd> opened =
      host.file_system_of(place.path).open_inside(below, O_RDONLY | O_DIRECTORY);
  if (!opened.ok()) return;  // no such place on this machine
  const bool has_perf_sources = place.path == "/sys/devices";
  // What cannot be listed cannot be covered one by one; sysfs and procfs fail at no listing.
  static_cast<void>(for_each_entry(opened.value().get(), [&](const dirent& entry) -> Result<void> {
    if (entry.d_type != DT_DIR || is_kept(place, entry.d_name)) return {};
    if (has_perf_sources && is_perf_source(host, join(below, "/", entry.d_name))) return {};
    found.push_back(join(place.path, "/", entry.d_name));
    return {};
  }));
}

}  // namespace

std::span<const HardwarePlace> hardware_places() { return kPlaces; }

std::vector<std::string> hardware_directories(const HostFiles& host) {
  std::vector<std::string> found;
  for (const HardwarePlace& place : kPlaces) {
    if (place.covers == Covers::kItsDirectories) {
      add_directories(host, place, found);
    } else if (host.file_system_of(place.path)
                   .exists(HostFiles::below(place.path))
                   .value_or(false)) {
      found.emplace_back(place.path);
    }
  }
  return found;
}

}  // namespace sysbox::fs

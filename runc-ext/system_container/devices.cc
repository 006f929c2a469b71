#include <sys/sysmacros.h>

#include <algorithm>
#include <array>

#include "common/syscalls.h"
#include "runc-ext/system_container/steps.h"

namespace sysbox::runc {
namespace {

// What "all devices" (--privileged) gives beside the nodes that every container has: devices
// whose use does not touch what belongs to the host or to others. Its disks, loop devices,
// terminals, memory and sensors are not among them; an explicit --device still adds one.
struct SafeDevice {
  const char* path;
  unsigned major, minor;
};
constexpr std::array kSafeDevices = {SafeDevice{"/dev/kvm", 10, 232}};

bool is_any(const std::optional<std::int64_t>& number) { return number.value_or(-1) < 0; }

// "a", and the pair of "c *:*" and "b *:*" that some engines write instead.
bool is_all_devices(const OciDeviceRule& rule) {
  return rule.allow && is_any(rule.major) && is_any(rule.minor) &&
         (rule.type == 'a' || rule.access.find_first_of("rw") != std::string::npos ||
          rule.access.empty());
}

const SafeDevice* find_safe(const OciDevice& device) {
  const auto same = [&device](const SafeDevice& safe) {
    return device.type == 'c' && device.path == safe.path &&
           device.device == makedev(safe.major, safe.minor);
  };
  const auto found = std::find_if(kSafeDevices.begin(), kSafeDevices.end(), same);
  return found == kSafeDevices.end() ? nullptr : &*found;
}

// Asked for by its number, not only as one of all.
bool is_asked_for(const OciDevice& device, const std::vector<OciDeviceRule>& rules) {
  return std::any_of(rules.begin(), rules.end(), [&device](const OciDeviceRule& rule) {
    const auto same = [](const std::optional<std::int64_t>& wanted, unsigned number) {
      return is_any(wanted) || *wanted == static_cast<std::int64_t>(number);
    };
    const char type = device.type == 'u' ? 'c' : device.type;
    return rule.allow && rule.type == type && !is_any(rule.major) &&
           same(rule.major, major(device.device)) && same(rule.minor, minor(device.device));
  });
}

OciDeviceRule rule_for(const SafeDevice& safe) {
  return {true, 'c', std::int64_t{safe.major}, std::int64_t{safe.minor}, "rwm"};
}

// A host's node that is bound to a place in /dev: an own node there has an owner whom the
// container knows. Its use is still the device cgroup's to allow.
std::optional<OciDevice> as_device(const OciMount& mount) {
  const bool below_dev = is_same_or_below(mount.destination, "/dev") && mount.destination != "/dev";
  if (!mount.bind || mount.read_only() || !below_dev) return std::nullopt;
  const Result<struct stat> node = sys::fstatat(AT_FDCWD, mount.source);
  if (!node.ok()) return std::nullopt;
  const mode_t mode = node.value().st_mode;
  if (!S_ISCHR(mode) && !S_ISBLK(mode)) return std::nullopt;
  OciDevice device;
  device.type = S_ISBLK(mode) ? 'b' : 'c';
  device.path = mount.destination;
  device.device = node.value().st_rdev;
  device.file_mode = mode & 07777U;
  device.uid = node.value().st_uid;
  device.gid = node.value().st_gid;
  return device;
}

// Engines allow it by habit. A container's /dev/console is a terminal of its own; by this number,
// which root inside can make a node of, it would be the host's.
bool is_host_console(const OciDeviceRule& rule) {
  return rule.allow && rule.type == 'c' && rule.major == 5 && rule.minor == 1;
}

void turn_binds_into_devices(OciSpec& spec) {
  std::erase_if(spec.mounts, [&spec](const OciMount& mount) {
    std::optional<OciDevice> device = as_device(mount);
    // A terminal of the host's (as an engine's console) is no device of this container's.
    if (!device || device->path == "/dev/console") return false;
    std::erase_if(spec.linux_part.devices,
                  [&device](const OciDevice& other) { return other.path == device->path; });
    spec.linux_part.devices.push_back(std::move(*device));
    return true;
  });
}

}  // namespace

void confine_devices(OciSpec& spec) {
  turn_binds_into_devices(spec);
  std::vector<OciDeviceRule>& rules = spec.linux_part.resources.devices;
  std::erase_if(rules, is_host_console);
  if (std::none_of(rules.begin(), rules.end(), is_all_devices)) return;
  std::erase_if(rules, is_all_devices);
  std::vector<OciDevice>& devices = spec.linux_part.devices;
  std::erase_if(devices, [&rules](const OciDevice& device) {
    return device.type != 'p' && find_safe(device) == nullptr && !is_asked_for(device, rules);
  });
  rules.insert(rules.begin(), OciDeviceRule{});  // nothing …
  for (const OciDevice& device : devices) {
    const SafeDevice* safe = find_safe(device);
    if (safe != nullptr) rules.push_back(rule_for(*safe));  // … but these
  }
}

bool has_hardware(const OciLinux& linux_part) {
  // Memory (null, zero …), terminals, /dev/tty and consoles, misc (fuse, tun, kvm, loop-control);
  // loop devices and the terminals of devpts.
  constexpr std::array kVirtualCharacterMajors = {1U, 5U, 10U, 136U};
  constexpr unsigned kLoopMajor = 7;
  return std::any_of(
      linux_part.devices.begin(), linux_part.devices.end(), [&](const OciDevice& device) {
        const unsigned number = major(device.device);
        if (device.type == 'b') return number != kLoopMajor;
        if (device.type == 'p') return false;
        return std::find(kVirtualCharacterMajors.begin(), kVirtualCharacterMajors.end(), number) ==
               kVirtualCharacterMajors.end();
      });
}

}  // namespace sysbox::runc

#include <algorithm>
#include <array>
#include <sstream>
#include <string_view>

#include "common/root_dir.h"
#include "runc-ext/system_container/init_program.h"
#include "runc-ext/system_container/steps.h"

namespace sysbox::runc {
namespace {

enum class Wanted { kAlways, kForSystemd, kForReadOnly, kForBoth };
// Whose mount holds when the spec has one of its own at that place.
enum class Owner {
  kSpec,
  kMachine,  // the spec's options are kept if its mount is of the same type, without "ro"
};

// A mount that a machine has. `options`: words as in config.json, separated by commas.
struct MachineMount {
  const char* destination;
  const char* type;
  const char* options;
  Owner owner;
  Wanted wanted;
};

// In the order in which they are made. /run/lock is as large as systemd makes it; /run has no
// size: what the container writes there counts against its own memory limit.
constexpr std::array kMachineMounts = {
    MachineMount{"/proc", "proc", "nosuid,noexec,nodev", Owner::kMachine, Wanted::kAlways},
    MachineMount{"/sys", "sysfs", "nosuid,noexec,nodev", Owner::kMachine, Wanted::kAlways},
    MachineMount{"/sys/fs/cgroup", "cgroup", "nosuid,noexec,nodev,relatime", Owner::kMachine,
                 Wanted::kAlways},
    MachineMount{"/dev", "tmpfs", "nosuid,strictatime,mode=755,size=65536k", Owner::kSpec,
                 Wanted::kAlways},
    MachineMount{"/dev/pts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5",
                 Owner::kSpec, Wanted::kAlways},
    MachineMount{"/dev/shm", "tmpfs", "nosuid,noexec,nodev,mode=1777,size=65536k", Owner::kSpec,
                 Wanted::kAlways},
    MachineMount{"/dev/mqueue", "mqueue", "nosuid,noexec,nodev", Owner::kSpec, Wanted::kAlways},
    MachineMount{"/run", "tmpfs", "nosuid,nodev,mode=755", Owner::kSpec, Wanted::kForBoth},
    MachineMount{"/run/lock", "tmpfs", "nosuid,noexec,nodev,mode=1777,size=5m", Owner::kSpec,
                 Wanted::kForSystemd},
    // systemd makes its own where the image has a tmp.mount.
    MachineMount{"/tmp", "tmpfs", "nosuid,nodev,mode=1777", Owner::kSpec, Wanted::kForReadOnly},
    MachineMount{"/proc/sys/fs/binfmt_misc", "binfmt_misc", "nosuid,noexec,nodev", Owner::kSpec,
                 Wanted::kAlways},
};

constexpr const char* kCgroupRoot = "/sys/fs/cgroup";

OciMount make_mount(const MachineMount& row) {
  OciMount mount;
  mount.destination = row.destination;
  mount.type = row.type;
  mount.source = row.type;
  std::istringstream words(row.options);
  for (std::string word; std::getline(words, word, ',');) apply_mount_option(mount, word);
  return mount;
}

bool is_below(const std::string& path, const std::string& ancestor) {
  return path != ancestor && is_same_or_below(path, ancestor);
}

bool is_of_type(const OciMount& mount, const std::string& type) {
  return !mount.bind && (mount.type == type || (type == "cgroup" && mount.type == "cgroup2"));
}

// The host's /proc, /sys or cgroups, bound there, would show the host; for systemd in older
// containers people did just that.
void take_over(OciMount& mount, const MachineMount& row) {
  if (!is_of_type(mount, row.type)) {
    mount = make_mount(row);
    return;
  }
  mount.type = row.type;
  for (std::uint64_t* set : {&mount.attributes_set, &mount.recursive_set}) {
    *set &= ~std::uint64_t{MOUNT_ATTR_RDONLY};
  }
}

// The file systems that show the container, in place of whatever else is mounted there: without a
// machine's other mounts, their options stay as they are.
void replace_foreign(OciMount& mount, const MachineMount& row) {
  if (!is_of_type(mount, row.type)) mount = make_mount(row);
  mount.type = row.type;
}

// Keeps the first mount at the machine's own places, and nothing inside the cgroup tree.
void clear_machine_places(std::vector<OciMount>& mounts,
                          void (*replace)(OciMount&, const MachineMount&)) {
  std::erase_if(mounts, [](const OciMount& m) { return is_below(m.destination, kCgroupRoot); });
  for (const MachineMount& row : kMachineMounts) {
    if (row.owner != Owner::kMachine) continue;
    bool seen = false;
    std::erase_if(mounts, [&](OciMount& mount) {
      if (mount.destination != row.destination) return false;
      if (seen) return true;
      seen = true;
      replace(mount, row);
      return false;
    });
  }
}

bool has_mount_at(const std::vector<OciMount>& mounts, const std::string& destination) {
  return std::any_of(mounts.begin(), mounts.end(), [&destination](const OciMount& mount) {
    return mount.destination == destination;
  });
}

bool is_wanted(Wanted wanted, const Machine& machine) {
  const bool systemd = machine.init == Init::kSystemd;
  switch (wanted) {
    case Wanted::kAlways:
      return true;
    case Wanted::kForSystemd:
      return systemd;
    case Wanted::kForReadOnly:
      return machine.read_only;
    case Wanted::kForBoth:
      return systemd || machine.read_only;
  }
  return false;
}

// Below a read-only root. A systemd that cannot write its cgroups does not start at all.
bool is_read_only(const OciMount& mount, const Machine& machine) {
  if (!machine.read_only || machine.relaxed) return false;
  return mount.destination == "/sys" ||
         (mount.destination == kCgroupRoot && machine.init != Init::kSystemd);
}

// After all the spec's, which stay in their order, but before those that it would hide.
void add_before_children(std::vector<OciMount>& mounts, OciMount mount) {
  const auto first_child =
      std::find_if(mounts.begin(), mounts.end(), [&mount](const OciMount& earlier) {
        return is_below(earlier.destination, mount.destination);
      });
  mounts.insert(first_child, std::move(mount));
}

}  // namespace

void guard_machine_places(std::vector<OciMount>& mounts) {
  clear_machine_places(mounts, replace_foreign);
}

void complete_mounts(std::vector<OciMount>& mounts, const Machine& machine) {
  clear_machine_places(mounts, take_over);
  for (const MachineMount& row : kMachineMounts) {
    if (!is_wanted(row.wanted, machine) || has_mount_at(mounts, row.destination)) continue;
    add_before_children(mounts, make_mount(row));
  }
  for (OciMount& mount : mounts) {
    if (mount.destination == kCgroupRoot && machine.only_cgroup2) mount.type = "cgroup2";
    if (is_read_only(mount, machine)) mount.attributes_set |= MOUNT_ATTR_RDONLY;
  }
}

void resolve_destinations(std::vector<OciMount>& mounts, const RootDir& rootfs) {
  // What the image has there will be covered, so its links lead nowhere.
  constexpr std::array kCovered = {"/proc", "/sys", "/dev"};
  for (OciMount& mount : mounts) {
    const bool covered = std::any_of(kCovered.begin(), kCovered.end(), [&mount](const char* place) {
      return is_same_or_below(mount.destination, place);
    });
    if (!covered) mount.destination = resolved_path(rootfs, mount.destination);
  }
}

void keep_owners(std::vector<OciMount>& mounts, const std::vector<std::string>& destinations) {
  for (OciMount& mount : mounts) {
    mount.unshifted |= std::find(destinations.begin(), destinations.end(), mount.destination) !=
                       destinations.end();
  }
}

}  // namespace sysbox::runc

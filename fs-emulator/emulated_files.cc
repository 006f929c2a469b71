#include <algorithm>
#include <array>

#include "fs-emulator/emulated_file.h"

namespace sysbox::fs {
namespace {

// Every file whose text is made for its reader. To add one: a line here, and its function in
// files/. Names, lookup, attributes and the container's mounts all derive from this table.
constexpr std::array kFiles = {
    EmulatedFile{"/proc/buddyinfo", 0444, read_buddyinfo, "free memory of the cgroup as one zone"},
    EmulatedFile{"/proc/cpuinfo", 0444, read_cpuinfo, "as many processors as the limits allow"},
    EmulatedFile{"/proc/diskstats", 0444, read_diskstats, "the container's own reads and writes"},
    EmulatedFile{"/proc/interrupts", 0444, read_interrupts,
                 "a column for each processor, no devices"},
    EmulatedFile{"/proc/loadavg", 0444, read_loadavg, "load and tasks of the container"},
    EmulatedFile{"/proc/meminfo", 0444, read_meminfo, "memory limit and use of the cgroup"},
    EmulatedFile{"/proc/partitions", 0444, read_partitions, "the disks of diskstats"},
    EmulatedFile{"/proc/pressure/cpu", 0666, read_cpu_pressure,
                 "cpu.pressure of the cgroup v2; takes triggers", open_cpu_pressure},
    EmulatedFile{"/proc/pressure/io", 0666, read_io_pressure,
                 "io.pressure of the cgroup v2; takes triggers", open_io_pressure},
    EmulatedFile{"/proc/pressure/irq", 0666, read_irq_pressure,
                 "irq.pressure of the cgroup v2; takes triggers", open_irq_pressure},
    EmulatedFile{"/proc/pressure/memory", 0666, read_memory_pressure,
                 "memory.pressure of the cgroup v2; takes triggers", open_memory_pressure},
    EmulatedFile{"/proc/schedstat", 0444, read_schedstat, "cpu time used by the container"},
    EmulatedFile{"/proc/slabinfo", 0400, read_slabinfo, "its heading"},
    EmulatedFile{"/proc/softirqs", 0444, read_softirqs, "a column for each processor"},
    EmulatedFile{"/proc/stat", 0444, read_stat, "cpu time used by the container, its start time"},
    EmulatedFile{"/proc/swaps", 0444, read_swaps, "the swap that the cgroup may use"},
    EmulatedFile{"/proc/uptime", 0444, read_uptime, "seconds since the container's start"},
    EmulatedFile{"/proc/vmstat", 0444, read_vmstat, "page counts of the cgroup"},
    EmulatedFile{"/proc/zoneinfo", 0444, read_zoneinfo, "memory of the cgroup as one zone"},
};

// One mount for all that is in it. Of the processors and memory nodes that is what machine_tree.cc
// has readers for.
constexpr std::array kDirectories = {
    EmulatedDirectory{"/proc/pressure", "the files of it that are listed above"},
    EmulatedDirectory{"/proc/sys/fs/inotify", "settings, see below"},
    EmulatedDirectory{"/proc/sys/kernel/keys", "settings, see below; the host's others, read-only"},
    EmulatedDirectory{"/proc/sys/vm", "settings, see below; the host's others, read-only"},
    EmulatedDirectory{"/sys/devices/system/cpu",
                      "as many processors as the limits allow, numbered from 0, with the topology, "
                      "caches and vulnerabilities of the host's that stand for them"},
    EmulatedDirectory{"/sys/devices/system/node",
                      "the memory nodes of the cpuset, with their part of the cgroup's memory"},
};

// Every place of the host's /proc and /sys that is covered by an empty directory. Files that only
// the host's root may open need no cover (kcore, timer_list, slabinfo), nor does what the kernel
// shows per namespace (keys, locks, net); each piece costs a container's start some microseconds.
// What differs from machine to machine is in host_hardware.cc.
constexpr std::array kMasks = {
    MaskedPath{"/sys/devices/virtual/dmi", "serial numbers"},
    MaskedPath{"/sys/devices/virtual/powercap", "power readings are a side channel"},
    MaskedPath{"/sys/firmware", "tables of the host's firmware"},
    // Empty mount points here: systemd takes its mount units for debugfs and tracefs, which a
    // user namespace cannot mount, as started already.
    MaskedPath{"/sys/kernel/config", "stands for configfs"},
    MaskedPath{"/sys/kernel/debug", "stands for debugfs"},
    MaskedPath{"/sys/kernel/tracing", "stands for tracefs"},
};

template <typename Table>
constexpr bool sorted_by_path(const Table& table) {
  return std::adjacent_find(table.begin(), table.end(), [](const auto& a, const auto& b) {
           return a.path >= b.path;
         }) == table.end();
}
static_assert(sorted_by_path(kFiles) && sorted_by_path(kDirectories) && sorted_by_path(kMasks));

}  // namespace

std::span<const EmulatedFile> emulated_files() { return kFiles; }
std::span<const EmulatedDirectory> emulated_directories() { return kDirectories; }
std::span<const MaskedPath> masked_paths() { return kMasks; }

}  // namespace sysbox::fs

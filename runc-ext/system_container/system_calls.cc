#include "runc-ext/system_container/system_calls.h"

#include <algorithm>
#include <array>

#include "common/result.h"

namespace sysbox::runc {
namespace {

using enum Decision;
using enum InProfile;

// Every decision. To add one: a line here; the engine's profile is widened by it, and
// docs/system-calls.md is printed from it.
constexpr std::array kCalls = {
    // Mounts: systemd, engines.
    DecidedCalls{
        "mount umount umount2", kEmulated, kAllowed,
        "a procfs or sysfs gets the emulated files, binds over them work, and they go with "
        "one umount (where it names what is locked, as one with --recursive does, it succeeds once "
        "and takes nothing off); overlays get userxattr (one over / itself, or over a "
        "place below which the engine has mounted something read-only, EINVAL); a remount may name "
        "ids as mountinfo shows them, which is as the host's; everything else is the kernel's: "
        "tmpfs, FUSE, cgroups, binds yes; disks and network file systems EPERM"},
    DecidedCalls{
        "fsmount fsopen", kEmulated, kAllowed,
        "the same for a procfs, sysfs or overlay by these calls; everything else is the kernel's"},
    DecidedCalls{"mount_setattr open_tree open_tree_attr", kEmulated, kAllowed,
                 "without AT_RECURSIVE, over emulated files: take them along, as a mount of one "
                 "piece would; new ids (MOUNT_ATTR_IDMAP) for a clone of a volume, or of what "
                 "else has the container's own ids, from Linux 6.15 on: of one mount, by a user "
                 "namespace made inside that maps no ids but the container's; copies of the "
                 "descriptor from before mount_setattr keep the old ids; everything else is the "
                 "kernel's"},
    DecidedCalls{
        "fsconfig", kEmulated, kAllowed,
        "a uid= or gid= of a remount may be one that mountinfo shows, which is the host's; "
        "everything else is the kernel's"},
    DecidedCalls{"fspick listmount move_mount statmount", kNative, kAllowed, "the kernel's own"},
    DecidedCalls{"chroot pivot_root", kNative, kAllowed, "work"},
    // Devices.
    DecidedCalls{
        "mknod mknodat", kEmulated, kAllowed,
        "null, zero, full, random, urandom, kmsg (a null device), tty, ptmx, net/tun, fuse "
        "and console (which the device cgroup does not let be opened) are made where a "
        "node can be opened: on the container's root, volumes and /dev, not on what it has "
        "mounted itself; whiteouts and FIFOs are the kernel's; other devices EPERM, loop "
        "devices too: they are the whole host's, and only FUSE mounts images inside"},
    // Namespaces, inner containers, debuggers.
    DecidedCalls{"clone clone3 setns unshare", kNative, kAllowed, "work"},
    DecidedCalls{"kcmp pidfd_getfd pidfd_open pidfd_send_signal process_madvise process_mrelease "
                 "process_vm_readv process_vm_writev ptrace",
                 kNative, kAllowed, "work on the container's own processes"},
    DecidedCalls{"seccomp", kNative, kAllowed,
                 "works; a filter with a listener (an inner seccomp agent) EBUSY, as the kernel "
                 "takes one in a chain and it is ours"},
    DecidedCalls{"sethostname setdomainname", kNative, kAllowed, "the container's own names"},
    DecidedCalls{"personality", kNative, kAllowed, "works"},
    DecidedCalls{"reboot", kNative, kAllowed,
                 "ends the container, as its pid namespace; Ctrl-Alt-Del settings EINVAL"},
    // Keys and BPF.
    DecidedCalls{"add_key keyctl request_key", kNative, kAllowed,
                 "keyrings of the container's user namespace"},
    DecidedCalls{"bpf", kNative, kAllowed,
                 "EPERM, unless the host allows unprivileged programs; systemd and engines go on "
                 "without"},
    // Watching and numbers.
    DecidedCalls{"fanotify_init fanotify_mark", kNative, kAllowed,
                 "work for inodes; marks of mounts and permission events EPERM"},
    DecidedCalls{"name_to_handle_at", kNative, kAllowed, "works"},
    DecidedCalls{"open_by_handle_at", kNative, kAsItSays, "EPERM"},
    DecidedCalls{
        "sched_getaffinity", kEmulated, kAllowed,
        "of the caller itself and of its process's first thread: as many cpus as /proc/cpuinfo "
        "shows, by the quota of the moment; of others, and to set it, the kernel's"},
    DecidedCalls{"sysinfo", kEmulated, kAllowed,
                 "the numbers of /proc/meminfo, /proc/loadavg and /proc/uptime"},
    DecidedCalls{
        "syslog", kRefused, kAllowed,
        "an empty kernel log; reading that would wait for a message EPERM; door kernel-log"},
    DecidedCalls{"perf_event_open", kNative, kAsItSays,
                 "the engine's profile decides, then the host's perf_event_paranoid; door perf"},
    // Clocks.
    DecidedCalls{"adjtimex clock_adjtime", kNative, kAllowed,
                 "tell the time's state; setting EPERM"},
    DecidedCalls{"clock_settime settimeofday stime", kNative, kAsItSays,
                 "EPERM: the clock is the host's; chrony and timesyncd do not start in containers"},
    // Memory.
    DecidedCalls{"get_mempolicy mbind migrate_pages move_pages set_mempolicy "
                 "set_mempolicy_home_node",
                 kNative, kAllowed, "work within the container's cpuset"},
    DecidedCalls{"mlock mlock2 mlockall", kNative, kAsItSays, "within RLIMIT_MEMLOCK"},
    DecidedCalls{"swapoff swapon", kNative, kAllowed,
                 "EPERM: swap is the host's, limited by the container's cgroup"},
    DecidedCalls{"userfaultfd", kRefused, kAsItSays,
                 "for the faults of programs as the engine's profile says; for those of the kernel "
                 "EPERM; door userfaultfd"},
    // Priorities and limits.
    DecidedCalls{"setpriority", kNative, kAsItSays,
                 "upwards of the nice value; below it EACCES, but for RLIMIT_NICE"},
    DecidedCalls{"sched_setattr sched_setscheduler", kNative, kAsItSays,
                 "batch and idle; real time EPERM, but for RLIMIT_RTPRIO"},
    DecidedCalls{"ioprio_set", kNative, kAsItSays, "best effort and idle; real time EPERM"},
    DecidedCalls{"prlimit64 setrlimit", kNative, kAsItSays, "work; to raise a hard limit EPERM"},
    // The kernel itself, and the machine: nobody but the host's root.
    DecidedCalls{"delete_module finit_module init_module", kNative, kAsItSays,
                 "EPERM; modprobe of what is loaded or built in succeeds without them"},
    DecidedCalls{"kexec_file_load kexec_load", kNative, kAsItSays, "EPERM"},
    DecidedCalls{"acct", kNative, kAsItSays, "EPERM"},
    DecidedCalls{"ioperm iopl", kNative, kAsItSays, "EPERM"},
    DecidedCalls{"quotactl quotactl_fd", kNative, kAsItSays, "EPERM: the quotas are the host's"},
    DecidedCalls{"vhangup", kNative, kAsItSays, "EPERM"},
    DecidedCalls{"lookup_dcookie", kNative, kAsItSays, "EPERM, or ENOSYS from Linux 6.7 on"},
    DecidedCalls{"modify_ldt", kNative, kAsItSays, "works for a program's own segments"},
    DecidedCalls{"io_uring_enter io_uring_register io_uring_setup", kNative, kAsItSays,
                 "the engine's profile decides; door io-uring"},
    // Sockets of rare families.
    DecidedCalls{"socket socketpair", kRefused, kAsItSays,
                 "AF_ALG, AF_RXRPC, AF_VSOCK and rare families EAFNOSUPPORT; doors af-*"},
    DecidedCalls{"socketcall", kRefused, kAsItSays, "ENOSYS; door socketcall"},
    // Harmless and young. Profiles that do not know them answer EPERM, which programs take as
    // final, where the kernel or ENOSYS would let them go on.
    DecidedCalls{"close_range copy_file_range faccessat2 fchmodat2 file_getattr file_setattr "
                 "getxattrat listxattrat openat2 preadv2 pwritev2 removexattrat renameat2 "
                 "setxattrat statx",
                 kNative, kAllowedUnlessNamed, "work"},
    DecidedCalls{"cachestat map_shadow_stack membarrier memfd_create mseal", kNative,
                 kAllowedUnlessNamed, "work"},
    DecidedCalls{"epoll_pwait2 futex_requeue futex_wait futex_waitv futex_wake rseq", kNative,
                 kAllowedUnlessNamed, "work"},
    DecidedCalls{"landlock_add_rule landlock_create_ruleset lsm_get_self_attr lsm_list_modules "
                 "lsm_set_self_attr",
                 kNative, kAllowedUnlessNamed, "work"},
    DecidedCalls{"landlock_restrict_self", kEmulated, kAllowed,
                 "works; for the program and those that it starts the calls around mounts, and "
                 "mknod, are the kernel's alone from then on"},
};

const char* text_of(Decision decision) {
  switch (decision) {
    case kNative:
      return "native";
    case kEmulated:
      return "emulated";
    case kRefused:
      return "refused";
  }
  return "";
}

const char* text_of(InProfile in_profile) {
  switch (in_profile) {
    case kAllowed:
      return "allowed";
    case kAllowedUnlessNamed:
      return "allowed unless it names them";
    case kAsItSays:
      return "as it says";
  }
  return "";
}

}  // namespace

std::span<const DecidedCalls> decided_calls() { return kCalls; }

std::vector<std::string_view> split_names(std::string_view names) {
  std::vector<std::string_view> split;
  while (!names.empty()) {
    const std::size_t end = std::min(names.find(' '), names.size());
    split.push_back(names.substr(0, end));
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return split;
}

std::vector<std::string_view> calls_in_profile(InProfile in_profile) {
  std::vector<std::string_view> found;
  for (const DecidedCalls& row : kCalls) {
    if (row.in_profile != in_profile) continue;
    const std::vector<std::string_view> names = split_names(row.names);
    found.insert(found.end(), names.begin(), names.end());
  }
  return found;
}

std::string system_calls_page() {
  std::string page =
      "# System calls\n\n"
      "Printed by `sysbox-runc features --system-calls`. Root of a system container has every\n"
      "capability in its own user namespace, so most of what a machine's root does is left to\n"
      "the kernel (`native`). What the kernel would refuse, or answer with the host's numbers, is\n"
      "answered in its place where programs need it (`emulated`). What has led out of containers\n"
      "is `refused` by a filter; the doors that open it are in switches.md. The third column is\n"
      "what becomes of the calls in a seccomp profile that the engine sends. What is not listed\n"
      "is as in any container.\n\n"
      "| calls | decision | engine's profile | root inside gets |\n|---|---|---|---|\n";
  for (const DecidedCalls& row : kCalls) {
    page += join("| ", row.names, " | ", text_of(row.decision), " | ", text_of(row.in_profile),
                 " | ", row.inside, " |\n");
  }
  return page;
}

}  // namespace sysbox::runc

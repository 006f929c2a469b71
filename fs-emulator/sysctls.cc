#include <algorithm>
#include <array>
#include <limits>

#include "fs-emulator/sysctl.h"

namespace sysbox::fs {
namespace {

constexpr std::int64_t kIntMin = std::numeric_limits<std::int32_t>::min();
constexpr std::int64_t kIntMax = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kLongMax = std::numeric_limits<std::int64_t>::max();

constexpr Sysctl ints(std::string_view path, std::int64_t min, std::int64_t max,
                      std::string_view initial, std::size_t count = 1) {
  return {path,    0644, SysctlPolicy::StoredPerContainer, SysctlFormat::kInt, min, max,
          initial, count};
}
constexpr Sysctl any_int(std::string_view path, std::string_view initial) {
  return ints(path, kIntMin, kIntMax, initial);
}
constexpr Sysctl unsigned_int(std::string_view path, std::int64_t min, std::int64_t max,
                              std::string_view initial) {
  return {path, 0644, SysctlPolicy::StoredPerContainer, SysctlFormat::kUnsigned, min, max, initial};
}
constexpr Sysctl unsigned_long(std::string_view path, std::int64_t min, std::int64_t max,
                               std::string_view initial) {
  return {path, 0644,   SysctlPolicy::StoredPerContainer, SysctlFormat::kUnsignedLong, min,
          max,  initial};
}
// Kept in ticks by the kernel, of which an int must hold enough.
constexpr Sysctl seconds(std::string_view path, std::string_view initial) {
  constexpr std::int64_t kMostTicksPerSecond = 1000;
  return ints(path, kIntMin / kMostTicksPerSecond, kIntMax / kMostTicksPerSecond, initial);
}
constexpr Sysctl any_unsigned_long(std::string_view path, std::int64_t min,
                                   std::string_view initial) {
  Sysctl sysctl = unsigned_long(path, min, kLongMax, initial);
  sysctl.format = SysctlFormat::kAnyUnsignedLong;
  return sysctl;
}
constexpr Sysctl text(std::string_view path, std::int64_t longest, std::string_view initial) {
  return {path, 0644, SysctlPolicy::StoredPerContainer, SysctlFormat::kText, 0, longest, initial};
}
constexpr Sysctl fixed(std::string_view path, std::string_view value) {
  return {path, 0444, SysctlPolicy::FixedValue, SysctlFormat::kText, 0, 0, value};
}
constexpr Sysctl of_container(std::string_view path, mode_t mode, SysctlPolicy policy) {
  return {path, mode, policy, SysctlFormat::kText, 0, 64, ""};
}
constexpr Sysctl choice(std::string_view path) {
  return {path, 0644, SysctlPolicy::StoredPerContainer, SysctlFormat::kChoice, 0, 0, kHostValue};
}
constexpr Sysctl trigger(std::string_view path, std::int64_t min, std::int64_t max) {
  return {path, 0200, SysctlPolicy::Trigger, SysctlFormat::kInt, min, max, "0"};
}
constexpr Sysctl with_mode(Sysctl sysctl, mode_t mode) {
  sysctl.mode = mode;
  return sysctl;
}
constexpr Sysctl pair_of(Sysctl sysctl, std::string_view other) {
  sysctl.zeroes = other;
  return sysctl;
}
constexpr Sysctl pipe_size(Sysctl sysctl) {
  sysctl.format = SysctlFormat::kPipeSize;
  return sysctl;
}

// Every setting that a container keeps for itself. To add one: a line here. Not in the table is
// what the kernel keeps per namespace anyway (net/*, kernel/{msg,sem,shm}*, fs/mqueue, user/*) and
// what no software in a container writes; each piece costs a container's start some microseconds.
// Ranges are the kernel's own. Initial values: the host's where they are what the kernel will
// really do to the container (kHostValue), else those of a freshly booted machine.
constexpr std::array kSysctls = {
    // The host's: its root device, what it was started for.
    fixed("/proc/cmdline", "rw"),
    // What the kernel prints while nothing is recorded. Recorded is for all processes of the host.
    fixed("/proc/latency_stats", "Latency Top version : v0.1"),
    fixed("/proc/mdstat", "Personalities : \nunused devices: <none>"),
    ints("/proc/sys/dev/tty/ldisc_autoload", 0, 1, kHostValue),
    any_unsigned_long("/proc/sys/fs/aio-max-nr", 0, kHostValue),
    unsigned_long("/proc/sys/fs/epoll/max_user_watches", 0, kLongMax, kHostValue),
    unsigned_long("/proc/sys/fs/file-max", 0, kLongMax, "9223372036854775807"),
    // How many files of all are the container's is not counted.
    fixed("/proc/sys/fs/file-nr", "0\t0\t9223372036854775807"),
    ints("/proc/sys/fs/inotify/max_queued_events", 0, kIntMax, kHostValue),
    ints("/proc/sys/fs/inotify/max_user_instances", 0, kIntMax, kHostValue),
    ints("/proc/sys/fs/inotify/max_user_watches", 0, kIntMax, kHostValue),
    any_int("/proc/sys/fs/lease-break-time", "45"),
    any_int("/proc/sys/fs/leases-enable", "1"),
    unsigned_int("/proc/sys/fs/mount-max", 1, kIntMax, kHostValue),
    unsigned_int("/proc/sys/fs/nr_open", 64, 2147483584, kHostValue),
    pipe_size(unsigned_int("/proc/sys/fs/pipe-max-size", 0, kIntMax, kHostValue)),
    any_unsigned_long("/proc/sys/fs/pipe-user-pages-hard", 0, kHostValue),
    any_unsigned_long("/proc/sys/fs/pipe-user-pages-soft", 0, kHostValue),
    ints("/proc/sys/fs/protected_fifos", 0, 2, kHostValue),
    ints("/proc/sys/fs/protected_hardlinks", 0, 1, kHostValue),
    ints("/proc/sys/fs/protected_regular", 0, 2, kHostValue),
    ints("/proc/sys/fs/protected_symlinks", 0, 1, kHostValue),
    ints("/proc/sys/fs/suid_dumpable", 0, 2, "0"),
    with_mode(any_int("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", kHostValue), 0600),
    text("/proc/sys/kernel/core_pattern", 127, "core"),
    any_int("/proc/sys/kernel/core_pipe_limit", "0"),
    any_int("/proc/sys/kernel/core_uses_pid", "0"),
    ints("/proc/sys/kernel/dmesg_restrict", 0, 1, kHostValue),
    of_container("/proc/sys/kernel/domainname", 0644, SysctlPolicy::UtsName),
    of_container("/proc/sys/kernel/hostname", 0644, SysctlPolicy::UtsName),
    ints("/proc/sys/kernel/hung_task_panic", 0, 1, "0"),
    unsigned_long("/proc/sys/kernel/hung_task_timeout_secs", 0, kLongMax / 1000, "120"),
    ints("/proc/sys/kernel/io_uring_disabled", 0, 2, kHostValue),
    ints("/proc/sys/kernel/kexec_load_disabled", 1, 1, kHostValue),
    ints("/proc/sys/kernel/keys/maxbytes", 1, kIntMax, kHostValue),
    ints("/proc/sys/kernel/keys/maxkeys", 1, kIntMax, kHostValue),
    ints("/proc/sys/kernel/keys/root_maxbytes", 1, kIntMax, "25000000"),
    ints("/proc/sys/kernel/keys/root_maxkeys", 1, kIntMax, "1000000"),
    ints("/proc/sys/kernel/kptr_restrict", 0, 2, kHostValue),
    ints("/proc/sys/kernel/modules_disabled", 1, 1, kHostValue),
    ints("/proc/sys/kernel/numa_balancing", 0, 4, "0"),
    any_int("/proc/sys/kernel/panic", "0"),
    any_int("/proc/sys/kernel/panic_on_oops", "0"),
    ints("/proc/sys/kernel/panic_on_warn", 0, 1, "0"),
    ints("/proc/sys/kernel/perf_cpu_time_max_percent", 0, 100, kHostValue),
    ints("/proc/sys/kernel/perf_event_max_sample_rate", 1, kIntMax, kHostValue),
    any_int("/proc/sys/kernel/perf_event_mlock_kb", kHostValue),
    any_int("/proc/sys/kernel/perf_event_paranoid", kHostValue),
    // Of the pid namespace from Linux 6.14 on: then the kernel's own file is left alone.
    ints("/proc/sys/kernel/pid_max", 301, 1 << 22, kHostValue),
    ints("/proc/sys/kernel/printk", kIntMin, kIntMax, "4\t4\t1\t7", 4),
    seconds("/proc/sys/kernel/printk_ratelimit", "5"),
    any_int("/proc/sys/kernel/printk_ratelimit_burst", "10"),
    of_container("/proc/sys/kernel/random/boot_id", 0444, SysctlPolicy::UuidPerContainer),
    any_int("/proc/sys/kernel/randomize_va_space", kHostValue),
    ints("/proc/sys/kernel/sched_autogroup_enabled", 0, 1, "0"),
    ints("/proc/sys/kernel/sched_rt_period_us", 1, kIntMax, "1000000"),
    ints("/proc/sys/kernel/sched_rt_runtime_us", -1, kIntMax, "950000"),
    ints("/proc/sys/kernel/softlockup_panic", 0, 1, "0"),
    any_int("/proc/sys/kernel/sysrq", "438"),
    ints("/proc/sys/kernel/task_delayacct", 0, 1, "0"),
    ints("/proc/sys/kernel/threads-max", 1, 0x3fffffff, kHostValue),
    ints("/proc/sys/kernel/unprivileged_bpf_disabled", 0, 2, kHostValue),
    any_int("/proc/sys/kernel/unprivileged_userns_clone", kHostValue),
    ints("/proc/sys/kernel/watchdog", 0, 1, "1"),
    ints("/proc/sys/kernel/watchdog_thresh", 0, 60, "10"),
    ints("/proc/sys/kernel/yama/ptrace_scope", 0, 3, kHostValue),
    ints("/proc/sys/net/netfilter/nf_conntrack_expect_max", 1, kIntMax, kHostValue),
    ints("/proc/sys/net/netfilter/nf_conntrack_max", 0, kIntMax, kHostValue),
    any_unsigned_long("/proc/sys/vm/admin_reserve_kbytes", 0, kHostValue),
    trigger("/proc/sys/vm/compact_memory", 1, 1),
    ints("/proc/sys/vm/compaction_proactiveness", 0, 100, "20"),
    pair_of(any_unsigned_long("/proc/sys/vm/dirty_background_bytes", 1, "0"),
            "/proc/sys/vm/dirty_background_ratio"),
    pair_of(ints("/proc/sys/vm/dirty_background_ratio", 0, 100, "10"),
            "/proc/sys/vm/dirty_background_bytes"),
    pair_of(any_unsigned_long("/proc/sys/vm/dirty_bytes", 8192, "0"), "/proc/sys/vm/dirty_ratio"),
    ints("/proc/sys/vm/dirty_expire_centisecs", 0, kIntMax, "3000"),
    pair_of(ints("/proc/sys/vm/dirty_ratio", 0, 100, "20"), "/proc/sys/vm/dirty_bytes"),
    any_int("/proc/sys/vm/dirty_writeback_centisecs", "500"),
    ints("/proc/sys/vm/dirtytime_expire_seconds", 0, kIntMax, "43200"),
    trigger("/proc/sys/vm/drop_caches", 1, 4),
    ints("/proc/sys/vm/extfrag_threshold", 0, 1000, "500"),
    seconds("/proc/sys/vm/laptop_mode", "0"),
    ints("/proc/sys/vm/max_map_count", 0, kIntMax, kHostValue),
    ints("/proc/sys/vm/min_free_kbytes", 0, kIntMax, kHostValue),
    any_unsigned_long("/proc/sys/vm/mmap_min_addr", 0, kHostValue),
    any_int("/proc/sys/vm/oom_dump_tasks", "1"),
    any_int("/proc/sys/vm/oom_kill_allocating_task", "0"),
    pair_of(any_unsigned_long("/proc/sys/vm/overcommit_kbytes", 0, "0"),
            "/proc/sys/vm/overcommit_ratio"),
    ints("/proc/sys/vm/overcommit_memory", 0, 2, "0"),
    pair_of(any_int("/proc/sys/vm/overcommit_ratio", "50"), "/proc/sys/vm/overcommit_kbytes"),
    ints("/proc/sys/vm/page-cluster", 0, 31, "3"),
    ints("/proc/sys/vm/panic_on_oom", 0, 2, "0"),
    seconds("/proc/sys/vm/stat_interval", "1"),
    ints("/proc/sys/vm/swappiness", 0, 200, "60"),
    ints("/proc/sys/vm/unprivileged_userfaultfd", 0, 1, kHostValue),
    any_unsigned_long("/proc/sys/vm/user_reserve_kbytes", 0, kHostValue),
    ints("/proc/sys/vm/vfs_cache_pressure", 0, kIntMax, "100"),
    ints("/proc/sys/vm/watermark_boost_factor", 0, kIntMax, "15000"),
    ints("/proc/sys/vm/watermark_scale_factor", 1, 3000, "10"),
    ints("/proc/sys/vm/zone_reclaim_mode", 0, kIntMax, "0"),
    // Databases ask for "never".
    choice("/sys/kernel/mm/transparent_hugepage/defrag"),
    choice("/sys/kernel/mm/transparent_hugepage/enabled"),
    // kube-proxy reads and writes it; the host's own is for the host's root only.
    with_mode(unsigned_int("/sys/module/nf_conntrack/parameters/hashsize", 1, kIntMax, kHostValue),
              0600),
};

constexpr bool is_sorted() {
  return std::adjacent_find(kSysctls.begin(), kSysctls.end(), [](const Sysctl& a, const Sysctl& b) {
           return a.path >= b.path;
         }) == kSysctls.end();
}
static_assert(is_sorted(), "the table of settings is sorted and has no doubles");

}  // namespace

std::span<const Sysctl> sysctls() { return kSysctls; }

}  // namespace sysbox::fs

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
constexpr Sysctl text(std::string_view path, std::int64_t longest, std::string_view initial) {
  return {path, 0644, SysctlPolicy::StoredPerContainer, SysctlFormat::kText, 0, longest, initial};
}
constexpr Sysctl fixed(std::string_view path, std::string_view value) {
  return {path, 0444, SysctlPolicy::FixedValue, SysctlFormat::kText, 0, 0, value};
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
    unsigned_long("/proc/sys/fs/aio-max-nr", 0, kLongMax, kHostValue),
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
    unsigned_long("/proc/sys/fs/pipe-user-pages-hard", 0, kLongMax, kHostValue),
    unsigned_long("/proc/sys/fs/pipe-user-pages-soft", 0, kLongMax, kHostValue),
    ints("/proc/sys/fs/protected_fifos", 0, 2, kHostValue),
    ints("/proc/sys/fs/protected_hardlinks", 0, 1, kHostValue),
    ints("/proc/sys/fs/protected_regular", 0, 2, kHostValue),
    ints("/proc/sys/fs/protected_symlinks", 0, 1, kHostValue),
    ints("/proc/sys/fs/suid_dumpable", 0, 2, "0"),
    text("/proc/sys/kernel/core_pattern", 127, "core"),
    any_int("/proc/sys/kernel/core_pipe_limit", "0"),
    any_int("/proc/sys/kernel/core_uses_pid", "0"),
    ints("/proc/sys/kernel/dmesg_restrict", 0, 1, kHostValue),
    ints("/proc/sys/kernel/hung_task_panic", 0, 1, "0"),
    unsigned_long("/proc/sys/kernel/hung_task_timeout_secs", 0, kLongMax / 1000, "120"),
    ints("/proc/sys/kernel/keys/maxbytes", 0, kIntMax, kHostValue),
    ints("/proc/sys/kernel/keys/maxkeys", 1, kIntMax, kHostValue),
    ints("/proc/sys/kernel/keys/root_maxbytes", 0, kIntMax, "25000000"),
    ints("/proc/sys/kernel/keys/root_maxkeys", 1, kIntMax, "1000000"),
    ints("/proc/sys/kernel/kptr_restrict", 0, 2, kHostValue),
    ints("/proc/sys/kernel/numa_balancing", 0, 4, "0"),
    any_int("/proc/sys/kernel/panic", "0"),
    any_int("/proc/sys/kernel/panic_on_oops", "0"),
    ints("/proc/sys/kernel/panic_on_warn", 0, 1, "0"),
    any_int("/proc/sys/kernel/perf_event_paranoid", kHostValue),
    ints("/proc/sys/kernel/printk", kIntMin, kIntMax, "4\t4\t1\t7", 4),
    any_int("/proc/sys/kernel/randomize_va_space", kHostValue),
    ints("/proc/sys/kernel/sched_autogroup_enabled", 0, 1, "0"),
    ints("/proc/sys/kernel/sched_rt_period_us", 1, kIntMax, "1000000"),
    ints("/proc/sys/kernel/sched_rt_runtime_us", -1, kIntMax, "950000"),
    ints("/proc/sys/kernel/softlockup_panic", 0, 1, "0"),
    any_int("/proc/sys/kernel/sysrq", "438"),
    ints("/proc/sys/kernel/threads-max", 1, 0x3fffffff, kHostValue),
    ints("/proc/sys/kernel/unprivileged_bpf_disabled", 0, 2, kHostValue),
    ints("/proc/sys/kernel/watchdog", 0, 1, "1"),
    ints("/proc/sys/kernel/yama/ptrace_scope", 0, 3, kHostValue),
    ints("/proc/sys/net/netfilter/nf_conntrack_expect_max", 1, kIntMax, kHostValue),
    ints("/proc/sys/net/netfilter/nf_conntrack_max", 0, kIntMax, kHostValue),
    trigger("/proc/sys/vm/compact_memory", 1, 1),
    pair_of(unsigned_long("/proc/sys/vm/dirty_background_bytes", 1, kLongMax, "0"),
            "/proc/sys/vm/dirty_background_ratio"),
    pair_of(ints("/proc/sys/vm/dirty_background_ratio", 0, 100, "10"),
            "/proc/sys/vm/dirty_background_bytes"),
    pair_of(unsigned_long("/proc/sys/vm/dirty_bytes", 8192, kLongMax, "0"),
            "/proc/sys/vm/dirty_ratio"),
    ints("/proc/sys/vm/dirty_expire_centisecs", 0, kIntMax, "3000"),
    pair_of(ints("/proc/sys/vm/dirty_ratio", 0, 100, "20"), "/proc/sys/vm/dirty_bytes"),
    any_int("/proc/sys/vm/dirty_writeback_centisecs", "500"),
    trigger("/proc/sys/vm/drop_caches", 1, 4),
    ints("/proc/sys/vm/max_map_count", 0, kIntMax, kHostValue),
    ints("/proc/sys/vm/min_free_kbytes", 0, kIntMax, kHostValue),
    unsigned_long("/proc/sys/vm/mmap_min_addr", 0, kLongMax, kHostValue),
    any_int("/proc/sys/vm/oom_dump_tasks", "1"),
    any_int("/proc/sys/vm/oom_kill_allocating_task", "0"),
    pair_of(unsigned_long("/proc/sys/vm/overcommit_kbytes", 0, kLongMax, "0"),
            "/proc/sys/vm/overcommit_ratio"),
    ints("/proc/sys/vm/overcommit_memory", 0, 2, "0"),
    pair_of(any_int("/proc/sys/vm/overcommit_ratio", "50"), "/proc/sys/vm/overcommit_kbytes"),
    ints("/proc/sys/vm/page-cluster", 0, 31, "3"),
    ints("/proc/sys/vm/panic_on_oom", 0, 2, "0"),
    ints("/proc/sys/vm/swappiness", 0, 200, "60"),
    ints("/proc/sys/vm/vfs_cache_pressure", 0, kIntMax, "100"),
    ints("/proc/sys/vm/watermark_scale_factor", 1, 3000, "10"),
    ints("/proc/sys/vm/zone_reclaim_mode", 0, kIntMax, "0"),
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

// Makes one system call after the other and prints what the kernel answers: "name ok", or the name
// of the error. Run as root of a machine, of a system container and of a user namespace, its output
// is compared with syscall_answers.expected. Changes nothing that outlives it, on a machine either;
// its files are made in the current directory. Linked statically: it runs in any root.

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/fanotify.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/quota.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>

#include "tests/kernel/child_text.h"

namespace {

constexpr const char* kFile = "syscall-answers.file";

struct Probe {
  const char* name;
  long (*call)();  // below 0: errno holds the answer
};

int scratch_file() { return ::open(kFile, O_RDWR | O_CREAT | O_CLOEXEC, 0644); }

long make_node(mode_t mode, unsigned major, unsigned minor) {
  const long rc = ::mknod("syscall-answers.node", mode, makedev(major, minor));
  const int code = errno;
  ::unlink("syscall-answers.node");
  errno = code;
  return rc;
}

long bpf(bpf_cmd command, union bpf_attr& attributes) {
  return ::syscall(SYS_bpf, command, &attributes, sizeof attributes);
}
long load_bpf_program() {
  const std::array<struct bpf_insn, 2> program = {
      {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}}};
  union bpf_attr attributes {};
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_SKB;
  attributes.insns = reinterpret_cast<std::uint64_t>(program.data());
  attributes.insn_cnt = program.size();
  attributes.license = reinterpret_cast<std::uint64_t>("GPL");
  return bpf(BPF_PROG_LOAD, attributes);
}
long make_bpf_map() {
  union bpf_attr attributes {};
  attributes.map_type = BPF_MAP_TYPE_HASH;
  attributes.key_size = attributes.value_size = 4;
  attributes.max_entries = 1;
  return bpf(BPF_MAP_CREATE, attributes);
}

long keyctl(long operation, const char* text) {
  return ::syscall(SYS_keyctl, operation, text, 0, 0, 0);
}
constexpr long kSessionKeyring = -3;  // KEY_SPEC_SESSION_KEYRING
long add_key() {
  keyctl(1 /* KEYCTL_JOIN_SESSION_KEYRING */, nullptr);
  return ::syscall(SYS_add_key, "user", "syscall-answers", "x", 1, kSessionKeyring);
}

long set_clock(clockid_t clock) {
  struct timespec now {};
  ::clock_gettime(clock, &now);
  return ::clock_settime(clock, &now);
}
long adjust_clock(unsigned modes) {
  struct timex state {};
  if (::adjtimex(&state) < 0) return -1;
  state.modes = modes;
  return ::adjtimex(&state);
}

// A struct file_handle, which ends in an array of any size.
struct Handle {
  alignas(struct file_handle) std::array<char, sizeof(struct file_handle) + 128> bytes{};
  struct file_handle* get() {
    return reinterpret_cast<struct file_handle*>(bytes.data());
  }
};
long name_handle(Handle& handle) {
  handle.get()->handle_bytes = 128;
  int mount_id = 0;
  return ::name_to_handle_at(AT_FDCWD, "/dev", handle.get(), &mount_id, 0);
}
long open_handle() {
  Handle handle;
  if (name_handle(handle) != 0) return -1;
  const int directory = ::open("/dev", O_RDONLY | O_DIRECTORY);
  return ::open_by_handle_at(directory, handle.get(), O_RDONLY);
}

long perf_event() {
  struct perf_event_attr attributes {};
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.size = sizeof attributes;
  attributes.config = PERF_COUNT_SW_CPU_CLOCK;
  attributes.exclude_kernel = 1;
  attributes.exclude_hv = 1;
  return ::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
}

// A child that waits to be looked at.
template <typename Look>
long with_child(Look look) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::pause();
  }
  const long rc = look(child);
  const int code = errno;
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  errno = code;
  return rc;
}

long schedule(int policy, int priority) {
  struct sched_param parameters {};
  parameters.sched_priority = priority;
  return ::sched_setscheduler(0, policy, &parameters);
}
long io_priority(unsigned class_and_level) {
  constexpr int kProcess = 1;  // IOPRIO_WHO_PROCESS
  return ::syscall(SYS_ioprio_set, kProcess, 0, class_and_level);
}

long raise_hard_limit() {
  struct rlimit limit {
    10, 10
  };
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
  limit.rlim_max = 11;
  return ::setrlimit(RLIMIT_NOFILE, &limit);
}

long set_attribute(const char* name, const void* value, std::size_t size) {
  const int file = scratch_file();
  return ::fsetxattr(file, name, value, size, 0);
}
long set_file_capability() {
  // struct vfs_cap_data, revision 2, with CAP_NET_RAW.
  const std::array<std::uint32_t, 5> data = {0x02000001, 1U << 13U, 0, 0, 0};
  return set_attribute("security.capability", data.data(), sizeof data);
}

long install_filter(unsigned flags) {
  struct sock_filter allow {
    BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW
  };
  struct sock_fprog program {
    1, &allow
  };
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

long read_kernel_log(int action, int size) {
  std::array<char, 4096> buffer{};
  return ::syscall(SYS_syslog, action, buffer.data(), size);
}

long mount_tmpfs() {
  ::mkdir("syscall-answers.dir", 0755);
  long rc = ::unshare(CLONE_NEWNS);
  if (rc == 0) rc = ::mount("", "/", "", MS_REC | MS_PRIVATE, nullptr);
  if (rc == 0) rc = ::mount("t", "syscall-answers.dir", "tmpfs", 0, nullptr);
  if (rc == 0) rc = ::umount2("syscall-answers.dir", 0);
  return rc;
}
long mount_disk() {
  ::mkdir("syscall-answers.dir", 0755);
  return ::mount("/dev/null", "syscall-answers.dir", "ext4", 0, nullptr);
}

constexpr Probe kProbes[] = {
    {"acct", [] { return long{::acct(nullptr)}; }},
    {"add_key", add_key},
    {"adjtimex-read", [] { return adjust_clock(0); }},
    {"adjtimex-set", [] { return adjust_clock(ADJ_ESTERROR); }},
    {"bpf-map", make_bpf_map},
    {"bpf-program", load_bpf_program},
    {"chown-mapped", [] { return long{::fchown(scratch_file(), 1000, 1000)}; }},
    {"chown-unmapped", [] { return long{::fchown(scratch_file(), 3'000'000'000, 0)}; }},
    {"chroot", [] { return long{::chroot("/")}; }},
    {"clock_settime", [] { return set_clock(CLOCK_REALTIME); }},
    {"delete_module", [] { return ::syscall(SYS_delete_module, "no_such_module", O_NONBLOCK); }},
    {"dev-kmsg-poll",
     [] {
       const int log = ::open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
       struct epoll_event event {};
       return log < 0 ? -1L : long{::epoll_ctl(::epoll_create1(0), EPOLL_CTL_ADD, log, &event)};
     }},
    {"dev-kmsg-read-at-end",
     [] {
       const int log = ::open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
       std::array<char, 8192> record{};
       return log < 0 || ::lseek(log, 0, SEEK_END) < 0 ? -1L
                                                       : ::read(log, record.data(), record.size());
     }},
    {"fanotify_init-content",
     [] { return long{::syscall(SYS_fanotify_init, FAN_CLASS_CONTENT, 0)}; }},
    {"fanotify_init-fid",
     [] { return long{::syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_REPORT_FID, 0)}; }},
    {"finit_module", [] { return ::syscall(SYS_finit_module, scratch_file(), "", 0); }},
    {"get_mempolicy", [] { return ::syscall(SYS_get_mempolicy, nullptr, nullptr, 0, nullptr, 0); }},
    {"init_module", [] { return ::syscall(SYS_init_module, "garbage", 8, ""); }},
    {"io_uring_setup",
     [] {
       std::array<std::uint32_t, 30> parameters{};
       return ::syscall(SYS_io_uring_setup, 1, parameters.data());
     }},
    {"ioprio_set-best-effort", [] { return io_priority(2U << 13U | 4U); }},
    {"ioprio_set-real-time", [] { return io_priority(1U << 13U | 4U); }},
    {"kexec_load", [] { return ::syscall(SYS_kexec_load, 0, 0, nullptr, 0); }},
    {"keyctl-join-session", [] { return keyctl(1, "syscall-answers"); }},
    {"lookup_dcookie",
     [] {
       std::array<char, 64> name{};
       constexpr long kLookupDcookie =
#if defined(__x86_64__)
           212;
#else
           18;
#endif
       return ::syscall(kLookupDcookie, 1L, name.data(), name.size());
     }},
    {"mbind",
     [] {
       void* const page = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
       return ::syscall(SYS_mbind, page, 4096, 0 /* MPOL_DEFAULT */, nullptr, 0, 0);
     }},
    {"mknod-disk", [] { return make_node(S_IFBLK | 0600, 8, 0); }},
    {"mknod-fifo", [] { return make_node(S_IFIFO | 0600, 0, 0); }},
    {"mknod-mem", [] { return make_node(S_IFCHR | 0600, 1, 1); }},
    {"mknod-null", [] { return make_node(S_IFCHR | 0666, 1, 3); }},
    {"mknod-tun", [] { return make_node(S_IFCHR | 0666, 10, 200); }},
    {"mknod-whiteout", [] { return make_node(S_IFCHR, 0, 0); }},
    {"mlock",
     [] {
       void* const page = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
       return long{::mlock(page, 4096)};
     }},
    {"mount-disk", mount_disk},
    {"mount-tmpfs", mount_tmpfs},
    {"move_pages", [] { return ::syscall(SYS_move_pages, 0, 0, nullptr, nullptr, nullptr, 0); }},
    {"name_to_handle_at",
     [] {
       Handle handle;
       return name_handle(handle);
     }},
    {"open_by_handle_at", open_handle},
    {"perf_event_open", perf_event},
    {"personality", [] { return ::syscall(SYS_personality, 0x0040000 /* ADDR_NO_RANDOMIZE */); }},
    {"process_vm_readv",
     [] {
       return with_child([](pid_t child) {
         static int value;
         struct iovec place {
           &value, sizeof value
         };
         return long{::process_vm_readv(child, &place, 1, &place, 1, 0)};
       });
     }},
    {"ptrace-seize",
     [] {
       return with_child(
           [](pid_t child) { return ::ptrace(PTRACE_SEIZE, child, nullptr, nullptr); });
     }},
    {"quotactl-sync", [] { return long{::quotactl(QCMD(Q_SYNC, USRQUOTA), nullptr, 0, nullptr)}; }},
    {"reboot-ctrl-alt-del",
     [] { return ::syscall(SYS_reboot, 0xfee1dead, 672274793, 0 /* CAD_OFF */, nullptr); }},
    {"reboot-unknown", [] { return ::syscall(SYS_reboot, 0xfee1dead, 672274793, 1, nullptr); }},
    {"request_key",
     [] { return ::syscall(SYS_request_key, "user", "no-such-key", nullptr, kSessionKeyring); }},
    {"sched_setscheduler-batch", [] { return schedule(SCHED_BATCH, 0); }},
    {"sched_setscheduler-fifo", [] { return schedule(SCHED_FIFO, 1); }},
    {"seccomp-filter", [] { return install_filter(0); }},
    {"seccomp-listener", [] { return install_filter(SECCOMP_FILTER_FLAG_NEW_LISTENER); }},
    {"setdomainname",
     [] {
       std::array<char, 65> name{};
       return ::getdomainname(name.data(), name.size()) != 0
                  ? -1L
                  : long{::setdomainname(name.data(), std::strlen(name.data()))};
     }},
    {"sethostname",
     [] {
       std::array<char, 65> name{};
       return ::gethostname(name.data(), name.size()) != 0
                  ? -1L
                  : long{::sethostname(name.data(), std::strlen(name.data()))};
     }},
    {"setns-uts",
     [] { return long{::setns(::open("/proc/self/ns/uts", O_RDONLY), CLONE_NEWUTS)}; }},
    {"setpriority-higher", [] { return long{::setpriority(PRIO_PROCESS, 0, -5)}; }},
    {"setpriority-lower", [] { return long{::setpriority(PRIO_PROCESS, 0, 5)}; }},
    {"setrlimit-raise-hard", raise_hard_limit},
    {"settimeofday",
     [] {
       struct timeval now {};
       ::gettimeofday(&now, nullptr);
       return long{::settimeofday(&now, nullptr)};
     }},
    {"setxattr-capability", set_file_capability},
    {"setxattr-trusted", [] { return set_attribute("trusted.x", "1", 1); }},
    {"setxattr-user", [] { return set_attribute("user.x", "1", 1); }},
    {"socket-alg", [] { return long{::socket(AF_ALG, SOCK_SEQPACKET, 0)}; }},
    {"socket-netlink", [] { return long{::socket(AF_NETLINK, SOCK_RAW, 0)}; }},
    {"socket-packet", [] { return long{::socket(AF_PACKET, SOCK_RAW, 0)}; }},
    {"socket-raw", [] { return long{::socket(AF_INET, SOCK_RAW, 1 /* ICMP */)}; }},
    {"socket-tipc", [] { return long{::socket(AF_TIPC, SOCK_SEQPACKET, 0)}; }},
    {"swapoff", [] { return long{::swapoff("/no/such/file")}; }},
    {"swapon",
     [] {
       scratch_file();
       return long{::swapon(kFile, 0)};
     }},
    {"sysinfo",
     [] {
       struct sysinfo numbers {};
       return long{::sysinfo(&numbers)};
     }},
    {"sysinfo-fault", [] { return ::syscall(SYS_sysinfo, 8); }},
    {"syslog-read-all", [] { return read_kernel_log(3, 4096); }},
    {"syslog-size", [] { return read_kernel_log(10, 0); }},
    {"unshare-cgroup", [] { return long{::unshare(CLONE_NEWCGROUP)}; }},
    {"unshare-ipc", [] { return long{::unshare(CLONE_NEWIPC)}; }},
    {"unshare-mount", [] { return long{::unshare(CLONE_NEWNS)}; }},
    {"unshare-net", [] { return long{::unshare(CLONE_NEWNET)}; }},
    {"unshare-pid", [] { return long{::unshare(CLONE_NEWPID)}; }},
    {"unshare-user", [] { return long{::unshare(CLONE_NEWUSER)}; }},
    {"unshare-uts", [] { return long{::unshare(CLONE_NEWUTS)}; }},
    {"userfaultfd", [] { return ::syscall(SYS_userfaultfd, O_CLOEXEC); }},
    {"userfaultfd-of-programs",
     [] { return ::syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY); }},
    {"vhangup", [] { return ::setsid() < 0 ? -1L : long{::vhangup()}; }},
#if defined(__x86_64__)
    {"ioperm", [] { return ::syscall(SYS_ioperm, 0x80, 1, 1); }},
    {"iopl", [] { return ::syscall(SYS_iopl, 3); }},
    {"modify_ldt",
     [] {
       std::array<char, 64> entries{};
       return ::syscall(SYS_modify_ldt, 0, entries.data(), entries.size());
     }},
#endif
};

// In a child of its own: what it changes or hangs in is its own.
std::string answer_of(const Probe& probe) {
  return sysbox::answers::text_of_child([&probe]() -> std::string {
    errno = 0;
    const long rc = probe.call();
    const char* const name = rc >= 0 ? "ok" : ::strerrorname_np(errno);
    return name == nullptr ? "unknown" : name;
  });
}

}  // namespace

int main() {
  for (const Probe& probe : kProbes) std::printf("%s %s\n", probe.name, answer_of(probe).c_str());
  ::unlink(kFile);
  ::rmdir("syscall-answers.dir");
  return 0;
}

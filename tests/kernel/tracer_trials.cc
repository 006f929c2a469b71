// What a tenant can try on the tracer of its system calls: each trial is one argument, prints what
// happened and exits with 0 if that is what must happen. Runs inside a container, in a directory of
// its own. Linked statically.

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fuse.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

namespace {

[[noreturn]] void fail(const char* what) {
  std::printf("%s: %s\n", what, std::strerror(errno));
  std::exit(1);
}
void check(bool holds, const char* what) {
  if (!holds) fail(what);
}

dev_t null_device() { return makedev(1, 3); }
bool is_null(const char* path) {
  struct stat node {};
  return ::lstat(path, &node) == 0 && S_ISCHR(node.st_mode) && node.st_rdev == null_device();
}

double seconds_now() {
  struct timespec now {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

template <typename Work>
void in_thread(Work work) {
  pthread_t thread{};
  const auto run = [](void* argument) -> void* {
    (*static_cast<Work*>(argument))();
    return nullptr;
  };
  check(::pthread_create(&thread, nullptr, run, &work) == 0, "pthread_create");
  ::pthread_join(thread, nullptr);
}

void call_by_thread() {
  in_thread([] {
    check(::mknod("by-thread", S_IFCHR | 0600, null_device()) == 0, "mknod by a thread");
    struct sysinfo numbers {};
    check(::sysinfo(&numbers) == 0 && numbers.totalram > 0, "sysinfo by a thread");
    check(::mkdir("mnt", 0755) == 0 && ::mount("p", "mnt", "proc", 0, nullptr) == 0, "mount proc");
    check(::umount2("mnt", 0) == 0, "umount");
  });
  check(is_null("by-thread"), "the node");
}

// The leader ends; the process goes on.
void call_without_leader() {
  const pid_t child = ::fork();
  if (child == 0) {
    pthread_t thread{};
    ::pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          ::usleep(100'000);
          ::_exit(::mknod("no-leader", S_IFCHR | 0600, null_device()) == 0 ? 0 : 1);
        },
        nullptr);
    ::syscall(SYS_exit, 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "mknod after the leader's end");
}

#if defined(__x86_64__)
long i386_call(long number, long first, long second = 0, long third = 0, long fourth = 0,
               long fifth = 0) {
  long rc = number;
  __asm__ volatile("int $0x80"
                   : "+a"(rc)
                   : "b"(first), "c"(second), "d"(third), "S"(fourth), "D"(fifth)
                   : "memory", "r8", "r9", "r10", "r11");
  return rc;
}
// Both interfaces of mounts, at "p" and "q".
void mount_by_32_bits(char* low) {
  auto at = [low, used = std::size_t{0}](const char* text) mutable {
    char* const place = low + used;
    used += std::strlen(text) + 1;
    return reinterpret_cast<long>(std::strcpy(place, text));
  };
  const auto is_emulated = [](const char* file) {
    struct stat node {};
    struct stat proc {};
    return ::stat(file, &node) == 0 && ::stat("/proc/uptime", &proc) == 0 &&
           node.st_dev == proc.st_dev;
  };
  const long proc = at("proc");
  const long p = at("p");
  const long q = at("q");
  const long here = at("");
  ::mkdir("p", 0755);
  ::mkdir("q", 0755);
  check(i386_call(21 /* mount */, proc, p, proc, 0, 0) == 0, "mount");
  check(is_emulated("p/uptime"), "its pieces");
  i386_call(52 /* umount2 */, at("p/uptime"), 0);  // counts as done, once
  check(i386_call(52, at("p/uptime"), 0) == -EINVAL, "umount2 of a piece");
  check(is_emulated("p/uptime"), "its piece after umount2");
  check(i386_call(21, p, q, proc, MS_BIND, 0) == 0, "bind");
  check(i386_call(52, q, 0) == 0, "umount2");
  const long clone = i386_call(428 /* open_tree */, AT_FDCWD, p, 1 /* OPEN_TREE_CLONE */);
  check(clone >= 0, "open_tree");
  check(i386_call(429 /* move_mount */, clone, here, AT_FDCWD, q, 4) == 0, "move_mount");
  check(is_emulated("q/uptime"), "the clone's pieces");
  check(i386_call(22 /* umount */, q) == 0, "umount");
  const std::array<std::uint64_t, 4> read_only{1 /* MOUNT_ATTR_RDONLY */};
  std::memcpy(low + 2048, read_only.data(), sizeof read_only);
  const long attributes = reinterpret_cast<long>(low + 2048);
  check(i386_call(442 /* mount_setattr */, AT_FDCWD, p, 0, attributes, sizeof read_only) == 0,
        "mount_setattr");
  check(::open("p/sys/kernel/panic", O_WRONLY) < 0 && errno == EROFS, "a read-only piece");
  check(i386_call(52, p, 0) == 0, "umount2");
  const long context = i386_call(430 /* fsopen */, proc, 0);
  check(context >= 0, "fsopen");
  check(i386_call(431 /* fsconfig */, context, 6 /* create */) == 0, "fsconfig");
  const long mount = i386_call(432 /* fsmount */, context, 0, 0);
  check(mount >= 0, "fsmount");
  check(i386_call(429, mount, here, AT_FDCWD, q, 4) == 0, "move_mount");
  check(is_emulated("q/uptime"), "the pieces");
  check(i386_call(52, q, 0) == 0, "umount2");
}

void call_by_32_bits() {
  // Addresses that 32 bits can hold.
  char* const low = static_cast<char*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE,
                                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
  check(low != MAP_FAILED, "mmap");
  const long at = reinterpret_cast<long>(low);
  if (i386_call(20 /* getpid */, 0) != ::getpid()) {
    std::printf("no 32-bit system calls here\n");
    return;
  }
  std::strcpy(low, "by-32-bits");
  check(i386_call(14 /* mknod */, at, S_IFCHR | 0600, 0x103) == 0, "mknod");
  check(is_null("by-32-bits"), "the node");
  ::unlink("by-32-bits");
  check(i386_call(14, at, S_IFBLK | 0600, 0x800) == -EPERM, "mknod of a disk");
  std::memset(low, 0xff, 128);
  check(i386_call(116 /* sysinfo */, at) == 0, "sysinfo");
  std::uint32_t totalram = 0;
  std::uint32_t unit = 0;
  std::memcpy(&totalram, low + 16, sizeof totalram);
  std::memcpy(&unit, low + 52, sizeof unit);
  struct sysinfo numbers {};
  check(::sysinfo(&numbers) == 0, "sysinfo of 64 bits");
  check(std::uint64_t{totalram} * unit / 4096 == numbers.totalram / 4096, "its numbers");
  check(static_cast<unsigned char>(low[64]) == 0xff, "what lies behind the structure");
  mount_by_32_bits(low);
}
#else
void call_by_32_bits() { std::printf("no 32-bit system calls here\n"); }
#endif

// A thousand programs one after the other: each keeps the filter.
void call_across_exec(int left) {
  struct sysinfo numbers {};
  check(::sysinfo(&numbers) == 0, "sysinfo after execve");
  if (left == 0) return;
  const std::string next = std::to_string(left - 1);
  ::execl("/proc/self/exe", "tracer-trials", "exec", next.c_str(), nullptr);
  fail("execve");
}

// Ends while its call is being carried out, again and again.
void die_in_the_middle() {
  for (int i = 0; i < 300; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (;;) {
        ::mknod("dying", S_IFCHR | 0600, null_device());
        ::unlink("dying");
      }
    }
    ::usleep(static_cast<useconds_t>(i % 20 * 100));
    ::kill(child, SIGKILL);
    int status = 0;
    check(::waitpid(child, &status, 0) == child && WIFSIGNALED(status), "the killed child");
  }
}

// A second thread exchanges the path between one that may be used and one that may not.
void swap_the_path() {
  std::array<char, 64> path{};
  std::strcpy(path.data(), "swapped");
  static std::atomic<bool> done{false};
  pthread_t swapper{};
  ::pthread_create(
      &swapper, nullptr,
      [](void* argument) -> void* {
        char* const text = static_cast<char*>(argument);
        while (!done) {
          std::memcpy(text, "/proc/1", 8);
          std::memcpy(text, "swapped", 8);
        }
        return nullptr;
      },
      path.data());
  for (int i = 0; i < 2000; ++i) {
    if (::mknod(path.data(), S_IFCHR | 0600, null_device()) == 0) ::unlink("swapped");
  }
  done = true;
  ::pthread_join(swapper, nullptr);
  ::unlink("swapped");
}

// A descriptor of a listener would let a tenant answer for the tracer.
void look_for_listeners() {
  for (int fd = 0; fd < 1024; ++fd) {
    std::array<char, 256> target{};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    if (::readlink(link.c_str(), target.data(), target.size() - 1) < 0) continue;
    check(std::strstr(target.data(), "seccomp") == nullptr, "a listener is inherited");
  }
  // Nor are there listeners, or processes that have them, to be taken from.
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, 1, 0));
  for (int fd = 0; pidfd >= 0 && fd < 64; ++fd) {
    const auto taken = static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd, fd, 0));
    if (taken < 0) continue;
    struct seccomp_notif_sizes sizes {};
    ::syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes);
    std::uint64_t id = 0;
    check(::ioctl(taken, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) != 0 && errno == ENOTTY,
          "a listener of process 1");
  }
}

long install(const struct sock_filter* instructions, unsigned short count, unsigned flags) {
  struct sock_fprog program {
    count, const_cast<struct sock_filter*>(instructions)
  };
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}
// Filters of the tenant's own come before ours, and harm nobody but itself.
void load_own_filters() {
  const std::array<struct sock_filter, 1> allow = {{{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}}};
  check(install(allow.data(), 1, SECCOMP_FILTER_FLAG_NEW_LISTENER) < 0 && errno == EBUSY,
        "a second listener");
  check(install(allow.data(), 1, 0) == 0, "a filter that allows all");
  check(::mknod("disk", S_IFBLK | 0600, makedev(8, 0)) < 0 && errno == EPERM,
        "a filter that allows all gives a disk");
  check(::mknod("filtered", S_IFCHR | 0600, null_device()) == 0, "mknod below the filter");
  const std::array<struct sock_filter, 4> no_sysinfo = {
      {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
       {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_sysinfo},
       {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOTEMPTY},
       {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}}};
  check(install(no_sysinfo.data(), no_sysinfo.size(), 0) == 0, "a filter that refuses");
  struct sysinfo numbers {};
  check(::sysinfo(&numbers) < 0 && errno == ENOTEMPTY, "the filter's own errno");
}

// A file system of the tenant's own with one file, which is never read to an end.
void serve_fuse(int fuse) {
  alignas(8) static std::array<char, 1 << 17> request;
  for (;;) {
    const ssize_t size = ::read(fuse, request.data(), request.size());
    if (size < static_cast<ssize_t>(sizeof(struct fuse_in_header))) return;
    struct fuse_in_header asked {};
    std::memcpy(&asked, request.data(), sizeof asked);
    struct {
      struct fuse_out_header head;
      union {
        struct fuse_init_out init;
        struct fuse_entry_out entry;
        struct fuse_attr_out attr;
        struct fuse_open_out open;
      };
    } answer{};
    std::size_t body = 0;
    const bool is_root = asked.nodeid == FUSE_ROOT_ID && asked.opcode == FUSE_GETATTR;
    struct fuse_attr attributes {};
    attributes.ino = is_root ? 1 : 2;
    attributes.mode = is_root ? S_IFDIR | 0755 : S_IFREG | 0644;
    attributes.nlink = 1;
    attributes.size = 4096;
    if (asked.opcode == FUSE_INIT) {
      answer.init.major = FUSE_KERNEL_VERSION;
      answer.init.minor = 31;
      answer.init.max_write = 4096;
      body = sizeof answer.init;
    } else if (asked.opcode == FUSE_LOOKUP) {
      if (std::strncmp(request.data() + sizeof asked, "never", 5) == 0) continue;
      answer.entry.nodeid = 2;
      answer.entry.attr = attributes;
      body = sizeof answer.entry;
    } else if (asked.opcode == FUSE_GETATTR) {
      answer.attr.attr = attributes;
      body = sizeof answer.attr;
    } else if (asked.opcode == FUSE_OPEN) {
      body = sizeof answer.open;
    } else {
      continue;  // FUSE_READ above all: never answered
    }
    answer.head.unique = asked.unique;
    answer.head.len = static_cast<std::uint32_t>(sizeof answer.head + body);
    if (::write(fuse, &answer, answer.head.len) < 0) return;
  }
}

// Mounts such a file system at "never"; with its server it ends.
pid_t mount_what_never_answers() {
  const int fuse = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  check(fuse >= 0, "/dev/fuse");
  ::mkdir("never", 0755);
  const std::string options =
      "allow_other,fd=" + std::to_string(fuse) + ",rootmode=40000,user_id=0,group_id=0";
  check(::mount("never", "never", "fuse", MS_NODEV | MS_NOSUID, options.c_str()) == 0, "mount");
  const pid_t server = ::fork();
  if (server == 0) {
    serve_fuse(fuse);
    ::_exit(0);
  }
  ::close(fuse);
  return server;
}

// The path of a call lies in memory that does not come: a page of that file. The kernel lets no
// process of another user namespace wait for it, so the tracer does not, and the caller waits
// alone.
void hang_in_fuse() {
  const pid_t server = mount_what_never_answers();
  const pid_t caller = ::fork();
  if (caller == 0) {
    const int file = ::open("never/file", O_RDONLY);
    void* const page = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, file, 0);
    if (file < 0 || page == MAP_FAILED) ::_exit(2);
    const long rc = ::mknod(static_cast<char*>(page), S_IFCHR | 0600, null_device());
    ::_exit(rc < 0 && errno == EFAULT ? 0 : 3);
  }
  ::usleep(500'000);
  check(::waitpid(caller, nullptr, WNOHANG) == 0, "the caller does not wait");
  struct sysinfo numbers {};
  check(::sysinfo(&numbers) == 0, "sysinfo beside it");
  for (int i = 0; i < 20; ++i) {
    check(::mknod("beside", S_IFCHR | 0600, null_device()) == 0, "mknod beside it");
    ::unlink("beside");
  }
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  int status = 0;
  check(::waitpid(caller, &status, 0) == caller, "waitpid");
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the caller's errno");
  ::umount2("never", MNT_DETACH);
}

// The path of a call leads there, in as many calls as a container may have in the works, and
// more. The tracer gives up, the callers wait, and the container's other calls are answered.
void hang_in_path() {
  const pid_t server = mount_what_never_answers();
  std::array<pid_t, 6> callers{};
  for (pid_t& caller : callers) {
    caller = ::fork();
    if (caller != 0) continue;
    ::mount("proc", "never/never", "proc", 0, nullptr);
    ::_exit(0);
  }
  ::usleep(500'000);
  struct sysinfo numbers {};
  check(::sysinfo(&numbers) == 0, "sysinfo beside them");
  // Not even a signal ends a wait for a FUSE that has taken the question.
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  for (const pid_t caller : callers) check(::waitpid(caller, nullptr, 0) == caller, "waitpid");
  check(::sysinfo(&numbers) == 0, "sysinfo after them");
  ::umount2("never", MNT_DETACH);
}

// As many calls as it can, from several threads, for a time.
void flood(double seconds) {
  static std::atomic<long> calls{0};
  const double end = seconds_now() + seconds;
  std::array<pid_t, 8> children{};
  std::array<int, 2> pipe{};
  check(::pipe(pipe.data()) == 0, "pipe");
  for (pid_t& child : children) {
    child = ::fork();
    if (child != 0) continue;
    long made = 0;
    struct sysinfo numbers {};
    for (; seconds_now() < end; ++made) ::sysinfo(&numbers);
    ::_exit(::write(pipe[1], &made, sizeof made) == sizeof made ? 0 : 1);
  }
  for (const pid_t child : children) {
    long made = 0;
    check(::read(pipe[0], &made, sizeof made) == sizeof made, "a child's count");
    calls += made;
    int status = 0;
    ::waitpid(child, &status, 0);
  }
  std::printf("%ld calls in %.1f s\n", calls.load(), seconds);
}

// Calls that must all be answered, each in time.
void call_often(int count) {
  double slowest = 0;
  for (int i = 0; i < count; ++i) {
    const double start = seconds_now();
    struct sysinfo numbers {};
    check(::sysinfo(&numbers) == 0, "sysinfo");
    slowest = std::max(slowest, seconds_now() - start);
  }
  std::printf("%d calls, the slowest %.1f ms\n", count, slowest * 1000);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string trial = argc > 1 ? argv[1] : "";
  const int number = argc > 2 ? std::atoi(argv[2]) : 0;
  if (trial == "thread")
    call_by_thread();
  else if (trial == "no-leader")
    call_without_leader();
  else if (trial == "32-bit")
    call_by_32_bits();
  else if (trial == "exec")
    call_across_exec(number);
  else if (trial == "die")
    die_in_the_middle();
  else if (trial == "swap")
    swap_the_path();
  else if (trial == "listeners")
    look_for_listeners();
  else if (trial == "filters")
    load_own_filters();
  else if (trial == "fuse")
    hang_in_fuse();
  else if (trial == "fuse-path")
    hang_in_path();
  else if (trial == "flood")
    flood(number);
  else if (trial == "often")
    call_often(number);
  else
    fail("no such trial");
  std::printf("as it must be\n");
  return 0;
}

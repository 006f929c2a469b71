// How long trapped system calls take here: "name nanoseconds" each, the median
// of a turn. Inside a container they are those that sysbox-fs answers; outside,
// with "kernel", the kernel's own, and with "floor" what a listener takes that
// looks at nothing. Linked statically: it runs anywhere.

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>
#include <thread>
#include <vector>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

namespace {

constexpr int kCalls = 60;
constexpr int kWarmUp = 5;
constexpr const char *kPlace = "trapped-calls.dir";

void must(bool holds, const char *what) {
  if (holds) return;
  std::perror(what);
  std::exit(1);
}

double now_ns() {
  struct timespec now {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

template <typename Call>
double time_of(Call call) {
  const double start = now_ns();
  call();
  return now_ns() - start;
}

void report(const char *name, std::vector<double> times) {
  std::sort(times.begin(), times.end());
  std::printf("%s %.0f\n", name, times[times.size() / 2]);
}

template <typename Call>
void measure(const char *name, Call call) {
  std::vector<double> times;
  for (int i = 0; i < kWarmUp; ++i) call();
  for (int i = 0; i < kCalls; ++i) times.push_back(time_of(call));
  report(name, times);
}

void mount_proc() { must(::mount("proc", kPlace, "proc", 0, nullptr) == 0, "mount"); }
void unmount() { must(::umount2(kPlace, 0) == 0, "umount"); }

void measure_mounts() {
  std::vector<double> mounts;
  std::vector<double> unmounts;
  for (int i = -kWarmUp; i < kCalls; ++i) {
    const double mounted = time_of(mount_proc);
    const double unmounted = time_of(unmount);
    if (i < 0) continue;
    mounts.push_back(mounted);
    unmounts.push_back(unmounted);
  }
  report("mount", mounts);
  report("umount", unmounts);
}

// What a nested container asks for: the first procfs of a new pid namespace.
void measure_first_mounts() {
  std::vector<double> times;
  for (int i = 0; i < 10; ++i) {
    std::array<int, 2> pipe{};
    must(::pipe(pipe.data()) == 0, "pipe");
    const pid_t child = ::fork();
    if (child == 0) {
      must(::unshare(CLONE_NEWPID) == 0, "unshare");
      const pid_t first = ::fork();
      if (first == 0) {
        const double took = time_of(mount_proc);
        unmount();
        must(::write(pipe[1], &took, sizeof took) == sizeof took, "write");
        ::_exit(0);
      }
      ::waitpid(first, nullptr, 0);
      ::_exit(0);
    }
    double took = 0;
    must(::read(pipe[0], &took, sizeof took) == sizeof took, "read");
    ::close(pipe[0]);
    ::close(pipe[1]);
    ::waitpid(child, nullptr, 0);
    times.push_back(took);
  }
  report("first-mount", times);
}

void ask_sysinfo() {
  struct sysinfo numbers {};
  must(::sysinfo(&numbers) == 0, "sysinfo");
}
void ask_affinity() {
  cpu_set_t cpus{};
  must(::sched_getaffinity(0, sizeof cpus, &cpus) == 0, "sched_getaffinity");
}

// Answers each call at once. Woken as sysbox-fs is: on the caller's processor,
// where the kernel can.
void answer_all(int listener) {
  ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 1UL /* SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP */);
  for (;;) {
    struct seccomp_notif call {};
    if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
      if (errno == EINTR || errno == ENOENT) continue;
      return;
    }
    struct seccomp_notif_resp answer {};
    answer.id = call.id;
    ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
  }
}
void measure_floor() {
  const std::array<struct sock_filter, 4> filter = {
      {{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)},
       {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_sysinfo},
       {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_USER_NOTIF},
       {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}}};
  struct sock_fprog program {
    filter.size(), const_cast<struct sock_filter *>(filter.data())
  };
  must(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
  const auto listener = static_cast<int>(
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
  must(listener >= 0, "seccomp");
  std::thread(answer_all, listener).detach();
  measure("floor", ask_sysinfo);
}

}  // namespace

int main(int argc, char **argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "floor") {
    measure_floor();
    std::fflush(stdout);
    ::_exit(0);
  }
  ::mkdir(kPlace, 0755);
  measure_mounts();
  measure_first_mounts();
  measure("sysinfo", ask_sysinfo);
  measure("sched_getaffinity", ask_affinity);
  ::rmdir(kPlace);
  return 0;
}

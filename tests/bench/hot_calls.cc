// How long hot system calls take here: "name nanoseconds" each, the least of several batches.
// Linked statically: it runs in any container.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace {

constexpr const char* kFile = "hot-calls.file";

struct HotCall {
  const char* name;
  int in_batch;
  void (*call)();
};

void must(bool holds, const char* what) {
  if (holds) return;
  std::perror(what);
  std::exit(1);
}

constexpr HotCall kCalls[] = {
    {"getppid", 20000, [] { ::syscall(SYS_getppid); }},
    {"open+close", 5000,
     [] {
       const int fd = ::open(kFile, O_RDONLY);
       must(fd >= 0, "open");
       ::close(fd);
     }},
    {"stat", 5000,
     [] {
       struct stat st {};
       must(::stat(kFile, &st) == 0, "stat");
     }},
    {"chown", 2000, [] { must(::chown(kFile, 0, 0) == 0, "chown"); }},
    {"setxattr", 2000, [] { must(::setxattr(kFile, "user.x", "1", 1, 0) == 0, "setxattr"); }},
    {"socket+close", 2000,
     [] {
       const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
       must(fd >= 0, "socket");
       ::close(fd);
     }},
    {"clone+wait", 200,
     [] {
       const pid_t child = ::vfork();  // clone(2) without a copy of memory, which would drown it
       if (child == 0) ::_exit(0);
       must(child > 0 && ::waitpid(child, nullptr, 0) == child, "clone");
     }},
};

double now_ns() {
  struct timespec now {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

}  // namespace

int main() {
  must(::close(::open(kFile, O_CREAT | O_RDWR, 0644)) == 0, kFile);
  for (const HotCall& hot : kCalls) {
    double least = 1e18;
    for (int batch = 0; batch < 20; ++batch) {
      const double start = now_ns();
      for (int i = 0; i < hot.in_batch; ++i) hot.call();
      least = std::min(least, (now_ns() - start) / hot.in_batch);
    }
    std::printf("%s %.0f\n", hot.name, least);
  }
  ::unlink(kFile);
  return 0;
}

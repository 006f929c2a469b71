// Runs the probes that the arguments name, or all, and prints "name answer" of each. With --32 the
// calls are made as 32-bit programs make them. Changes nothing that outlives it. Its output as root
// of a machine, of a system container and of a user namespace is compared with
// mount_answers.expected. Linked statically: it runs in any root.

#include "tests/kernel/mount_answers.h"

#include <linux/capability.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>

#include "tests/kernel/child_text.h"

namespace sysbox::answers {
namespace {

constexpr std::size_t kStackBytes = 1U << 20U;
constexpr Number kGetpid{SYS_getpid, 20};
constexpr const char* kScratch = "mount-answers.dir";
bool of_32_bits = false;

#if defined(__x86_64__)
long call_by_32_bits(long number, long a, long b, long c, long d, long e) {
  for (const long word : {a, b, c, d, e}) {
    if (word == static_cast<int>(word) || word == static_cast<long>(static_cast<unsigned>(word))) {
      continue;
    }
    std::fprintf(stderr, "an argument of call %ld does not fit into 32 bits\n", number);
    std::abort();
  }
  long rc = number;
  __asm__ volatile("int $0x80"
                   : "+a"(rc)
                   : "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                   : "memory", "r8", "r9", "r10", "r11");
  return static_cast<int>(rc);
}
#else
long call_by_32_bits(long, long, long, long, long, long) { return -ENOSYS; }
#endif

std::string mount_table() {
  // By the process's own procfs, wherever it is mounted by now.
  static const int proc = ::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  const int file = ::openat(proc, (std::to_string(::getpid()) + "/mountinfo").c_str(), O_RDONLY);
  std::string text;
  std::array<char, 65536> part{};
  for (ssize_t n = 0; (n = ::read(file, part.data(), part.size())) > 0;) {
    text.append(part.data(), static_cast<std::size_t>(n));
  }
  ::close(file);
  return text;
}
std::string absolute(const char* path) {
  if (path[0] == '/') return path;
  std::array<char, PATH_MAX> current{};
  const char* const base = ::getcwd(current.data(), current.size());
  return std::string(base == nullptr ? "?" : base) + "/" + path;
}

// Everything a probe starts from.
bool prepare() {
  ::umask(022);
  return ::unshare(CLONE_NEWNS) == 0 && call(kMount, "", "/", "", MS_REC | MS_PRIVATE) == 0 &&
         mount_tmpfs(kScratch) == 0 && ::chdir(kScratch) == 0 && ::mkdir("dir", 0755) == 0 &&
         ::mkdir("dir/sub", 0755) == 0 && ::mkdir("other", 0755) == 0 &&
         ::close(::creat("file", 0644)) == 0 && ::symlink("dir", "link") == 0 &&
         ::symlink("loop", "loop") == 0;
}

// On a stack that 32 bits can point into.
const Probe* current = nullptr;
std::string given;
void run_current() { given = current->call(); }
std::string run_on_low_stack(const Probe& probe) {
  void* const stack = ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (stack == MAP_FAILED) return "no-stack";
  static ucontext_t here;
  static ucontext_t there;
  ::getcontext(&there);
  there.uc_stack.ss_sp = stack;
  there.uc_stack.ss_size = kStackBytes;
  there.uc_link = &here;
  current = &probe;
  ::makecontext(&there, run_current, 0);
  ::swapcontext(&here, &there);
  return given;
}

std::string answer_of(const Probe& probe) {
  return text_of_child([&probe]() -> std::string {
    if (!prepare()) return "unprepared:" + answer(-1);
    return of_32_bits ? run_on_low_stack(probe) : probe.call();
  });
}

}  // namespace

long call_words(Number number, long a, long b, long c, long d, long e) {
  if (!of_32_bits) return ::syscall(number.native, a, b, c, d, e);
  const long rc = call_by_32_bits(number.i386, a, b, c, d, e);
  if (rc >= 0 || rc < -4095) return rc;
  errno = static_cast<int>(-rc);
  return -1;
}

std::string answer(long rc) {
  if (rc >= 0) return "ok";
  const char* const name = ::strerrorname_np(errno);
  return name == nullptr ? "E" + std::to_string(errno) : name;
}

bool Steps::operator()(const char* what, long rc) {
  if (failure_.empty() && rc < 0) failure_ = std::string(what) + ":" + answer(rc);
  return failure_.empty();
}
bool Steps::holds(const char* what, bool condition) {
  if (failure_.empty() && !condition) failure_ = std::string("not-") + what;
  return failure_.empty();
}
std::string Steps::end(const std::string& effect) const {
  if (!failure_.empty()) return failure_;
  return effect.empty() ? "ok" : "ok:" + effect;
}

std::string options_of(const char* path) {
  struct Option {
    unsigned long flag;
    const char* name;
  };
  constexpr Option kOptions[] = {{ST_RDONLY, "ro"},
                                 {ST_NOSUID, "nosuid"},
                                 {ST_NODEV, "nodev"},
                                 {ST_NOEXEC, "noexec"},
                                 {ST_SYNCHRONOUS, "sync"},
                                 {ST_NOATIME, "noatime"},
                                 {ST_NODIRATIME, "nodiratime"},
                                 {0x2000, "nosymfollow"}};
  struct statvfs fs {};
  if (::statvfs(path, &fs) != 0) return answer(-1);
  std::string text;
  for (const Option& option : kOptions) {
    if ((fs.f_flag & option.flag) == 0) continue;
    if (!text.empty()) text += '+';
    text += option.name;
  }
  if ((fs.f_flag & (ST_NOATIME | ST_RELATIME)) == 0) text += text.empty() ? "atime" : "+atime";
  return text.empty() ? "none" : text;
}

std::string propagation_of(const char* path) {
  const std::string wanted = absolute(path);
  std::istringstream table(mount_table());
  std::string found = "unmounted";
  for (std::string line; std::getline(table, line);) {
    std::istringstream words(line);
    std::string word;
    std::string target;
    for (int i = 0; i < 6 && words >> word; ++i) {
      if (i == 4) target = word;
    }
    if (target != wanted) continue;
    found.clear();
    while (words >> word && word != "-") {
      found += (found.empty() ? "" : "+") + word.substr(0, word.find(':'));
    }
    if (found.empty()) found = "private";
  }
  return found;
}

int mounts_below(const char* path) {
  const std::string wanted = absolute(path);
  std::istringstream table(mount_table());
  int count = 0;
  for (std::string line; std::getline(table, line);) {
    std::istringstream words(line);
    std::string target;
    for (int i = 0; i < 5; ++i) words >> target;
    if (target == wanted || target.rfind(wanted + "/", 0) == 0) ++count;
  }
  return count;
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }
bool can_write(const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file >= 0) ::close(file);
  return file >= 0;
}
std::string first_word_of(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

long mount_tmpfs(const char* target) { return call(kMount, "t", target, "tmpfs"); }

long drop_capability(int capability) {
  struct __user_cap_header_struct header {
    _LINUX_CAPABILITY_VERSION_3, 0
  };
  std::array<struct __user_cap_data_struct, 2> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return -1;
  data[static_cast<std::size_t>(capability) / 32].effective &=
      ~(1U << (static_cast<unsigned>(capability) % 32));
  return ::syscall(SYS_capset, &header, data.data());
}

long enter_user_namespace(int others) {
  if (call(kUnshare, CLONE_NEWUSER | others) != 0) return -1;
  std::ofstream("/proc/self/setgroups") << "deny";
  std::ofstream("/proc/self/uid_map") << "0 0 1";
  std::ofstream("/proc/self/gid_map") << "0 0 1";
  return ::geteuid() == 0 ? 0 : -1;
}

int print_answers(std::span<char*> arguments) {
  if (!arguments.empty() && std::string_view(arguments[0]) == "--32") {
    of_32_bits = true;
    arguments = arguments.subspan(1);
    if (call(kGetpid) != ::getpid()) {
      std::printf("no 32-bit system calls here\n");
      return 0;
    }
  }
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);  // from the heap, which 32 bits can point into
  ::mkdir(kScratch, 0755);
  for (const auto& probes :
       {filesystem_probes(), change_probes(), descriptor_probes(), attribute_probes(),
        root_probes(), restricted_probes(), overlay_probes(), remount_probes()}) {
    for (const Probe& probe : probes) {
      const bool is_wanted = arguments.empty() ||
                             std::any_of(arguments.begin(), arguments.end(), [&](const char* name) {
                               return std::string_view(name) == probe.name;
                             });
      if (!is_wanted) continue;
      std::printf("%s %s\n", probe.name, answer_of(probe).c_str());
      std::fflush(stdout);
    }
  }
  ::rmdir(kScratch);
  return 0;
}

}  // namespace sysbox::answers

int main(int argc, char** argv) {
  return sysbox::answers::print_answers({argv + 1, static_cast<std::size_t>(argc - 1)});
}

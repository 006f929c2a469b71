// Trapped calls whose paths lead through a FUSE that was mounted inside: the kernel lets nobody
// from outside its user namespace look a name up there.

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <functional>

#include "common/syscalls.h"
#include "tests/unit/seccomp-notify/trapped_container.h"

namespace sysbox::testing {
namespace {

// Directories by these names, all of them in its root and each in each. For "never" it never
// answers.
constexpr std::array<const char*, 3> kDirectories = {"p", "q", "uptime"};

struct Answer {
  struct fuse_out_header head;
  union {
    struct fuse_init_out init;
    struct fuse_entry_out entry;
    struct fuse_attr_out attr;
    struct fuse_open_out open;
    struct fuse_statfs_out statfs;
  };
};

struct fuse_attr directory(std::uint64_t number) {
  struct fuse_attr attributes {};
  attributes.ino = number;
  attributes.mode = S_IFDIR | 0755;
  attributes.nlink = 2;
  return attributes;
}

// The size of the answer's body; -1 for none at all.
int answer_lookup(const char* name, Answer& answer) {
  for (std::size_t i = 0; i < kDirectories.size(); ++i) {
    if (std::strcmp(name, kDirectories[i]) != 0) continue;
    answer.entry.nodeid = 2 + i;
    answer.entry.attr = directory(2 + i);
    return sizeof answer.entry;
  }
  if (std::strcmp(name, "never") == 0) return -1;
  answer.head.error = -ENOENT;
  return 0;
}

int answer_question(const struct fuse_in_header& asked, const char* body, Answer& answer) {
  switch (asked.opcode) {
    case FUSE_INIT:
      answer.init.major = FUSE_KERNEL_VERSION;
      answer.init.minor = 31;
      answer.init.max_write = 4096;
      return sizeof answer.init;
    case FUSE_LOOKUP:
      return answer_lookup(body, answer);
    case FUSE_GETATTR:
      answer.attr.attr = directory(asked.nodeid);
      return sizeof answer.attr;
    case FUSE_OPENDIR:
      return sizeof answer.open;
    case FUSE_STATFS:
      return sizeof answer.statfs;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
      return -1;
    default:
      answer.head.error = -ENOSYS;
      return 0;
  }
}

void serve(int fuse) {
  alignas(8) static std::array<char, 1 << 17> request;
  for (;;) {
    const ssize_t size = ::read(fuse, request.data(), request.size() - 1);
    if (size < static_cast<ssize_t>(sizeof(struct fuse_in_header))) return;
    request[static_cast<std::size_t>(size)] = '\0';
    struct fuse_in_header asked {};
    std::memcpy(&asked, request.data(), sizeof asked);
    Answer answer{};
    answer.head.unique = asked.unique;
    const int body = answer_question(asked, request.data() + sizeof asked, answer);
    if (body < 0) continue;
    answer.head.len = static_cast<std::uint32_t>(sizeof answer.head) + static_cast<unsigned>(body);
    if (::write(fuse, &answer, answer.head.len) < 0) return;
  }
}

// /dev/fuse for everyone, as a container has it.
std::string& device_path() {
  static std::string path;
  return path;
}

class InnerFuse : public ::testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_CONTAINERS();
    device_path() = join("/tmp/fuse-for-all-", ::getpid());
    ASSERT_EQ(::mknod(device_path().c_str(), S_IFCHR | 0600, makedev(10, 229)), 0);
    ASSERT_EQ(::chmod(device_path().c_str(), 0666), 0);
  }
  void TearDown() override { ::unlink(device_path().c_str()); }
};

// Runs `work` below a FUSE at "fuse", served until then by a child.
std::string with_fuse(const char* options, const Inside& work) {
  const int fuse = ::open(device_path().c_str(), O_RDWR | O_CLOEXEC);
  if (fuse < 0) return join(device_path(), ": ", std::strerror(errno));
  ::mkdir("fuse", 0755);
  const std::string all = join("fd=", fuse, ",rootmode=40000,user_id=0,group_id=0,", options);
  CHECK_INSIDE(expect_success("mount of a FUSE", ::mount("f", "fuse", "fuse", 0, all.c_str())));
  const pid_t server = ::fork();
  if (server == 0) {
    serve(fuse);
    ::_exit(0);
  }
  ::close(fuse);
  std::string outcome = work();
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  return outcome;
}

constexpr const char* kForAll = "allow_other";

std::string mount_and_unmount(const char* place) {
  CHECK_INSIDE(expect_success("mount proc", ::mount("proc", place, "proc", 0, nullptr)));
  const std::string uptime = read_text(join(place, "/uptime"));
  if (uptime != kPieceText) return join("uptime: ", uptime);
  CHECK_INSIDE(expect_piece_stays(join(place, "/uptime")));
  CHECK_INSIDE(expect_success("umount", ::umount2(place, 0)));
  CHECK_THAT(read_text(join(place, "/uptime")) != kPieceText);
  return "";
}

TEST_F(InnerFuse, ProcfsIsMountedBelowIt) {
  for (const char* options : {kForAll, "default_permissions"}) {
    expect_inside(
        [options] { return with_fuse(options, [] { return mount_and_unmount("fuse/p"); }); });
  }
}

TEST_F(InnerFuse, ProcfsIsMountedBelowTheWorkingDirectory) {
  expect_inside([] {
    return with_fuse(kForAll, []() -> std::string {
      CHECK_INSIDE(expect_success("chdir", ::chdir("fuse/q")));
      CHECK_INSIDE(mount_and_unmount("p"));
      return expect_success("chdir", ::chdir("/"));
    });
  });
}

TEST_F(InnerFuse, MayHoldTheCallersRoot) {
  expect_inside([] {
    return with_fuse(kForAll, []() -> std::string {
      CHECK_INSIDE(expect_success("chroot", ::chroot("fuse/q")));
      CHECK_INSIDE(expect_success("chdir", ::chdir("/")));
      CHECK_INSIDE(mount_and_unmount("/p"));
      CHECK_INSIDE(mount_and_unmount("p"));
      return expect_errno("a node", ::mknod("/null", S_IFCHR | 0600, makedev(1, 3)), EPERM);
    });
  });
}

TEST_F(InnerFuse, IsBoundWithWhatIsLockedBelowIt) {
  expect_inside([] {
    return with_fuse(kForAll, []() -> std::string {
      ::mkdir("copy", 0755);
      CHECK_INSIDE(expect_success("mount", ::mount("proc", "fuse/p", "proc", 0, nullptr)));
      CHECK_INSIDE(expect_success("bind", ::mount("fuse/p", "copy", nullptr, MS_BIND, nullptr)));
      CHECK_THAT(read_text("copy/uptime") == kPieceText);
      CHECK_INSIDE(expect_success("bind", ::mount("copy", "fuse/q", nullptr, MS_BIND, nullptr)));
      CHECK_THAT(read_text("fuse/q/uptime") == kPieceText);
      CHECK_INSIDE(expect_success("umount", ::umount2("fuse/q", 0)));
      CHECK_INSIDE(expect_success("umount", ::umount2("copy", 0)));
      return expect_success("umount", ::umount2("fuse/p", 0));
    });
  });
}

// Those in /proc, which a change of ids has given to the host's root.
void make_own_files_ours() { ::prctl(PR_SET_DUMPABLE, 1); }

std::string in_child(const Inside& work) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return "pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string outcome = work();
    static_cast<void>(::write(ends[1], outcome.data(), outcome.size()) == 0);
    ::_exit(0);
  }
  ::close(ends[1]);
  const Result<std::string> outcome = sys::read_all(ends[0]);
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return outcome.ok() ? outcome.value() : outcome.error().message();
}

TEST_F(InnerFuse, MayBelongToAUserNamespaceMadeInside) {
  expect_inside([] {
    ::chmod(".", 0777);
    return as_user(1000, []() -> std::string {
      CHECK_INSIDE(
          expect_success("unshare", ::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID)));
      make_own_files_ours();
      const auto write = [](const char* file, const char* text) {
        const Result<void> written = sys::write_file(file, text);
        return written.ok() ? std::string() : written.error().message();
      };
      CHECK_INSIDE(write("/proc/self/setgroups", "deny"));
      CHECK_INSIDE(write("/proc/self/uid_map", "0 1000 1"));
      CHECK_INSIDE(write("/proc/self/gid_map", "0 1000 1"));
      return in_child(
          [] { return with_fuse(kForAll, [] { return mount_and_unmount("fuse/p"); }); });
    });
  });
}

// The children of this program's threads whose user namespace is that of `other`; but for those
// of the main one, which has started the container.
std::vector<pid_t> tasks_in_namespace_of(pid_t other) {
  std::vector<pid_t> found;
  const Result<UniqueFd> theirs = sys::open(join("/proc/", other, "/ns/user"), O_RDONLY);
  if (!theirs.ok()) return found;
  const auto inode = [](int fd) { return sys::fstat(fd).value().st_ino; };
  DIR* const threads = ::opendir("/proc/self/task");
  while (const struct dirent* thread = ::readdir(threads)) {
    if (std::atoi(thread->d_name) == ::getpid()) continue;
    const Result<std::string> children =
        sys::read_file(join("/proc/self/task/", thread->d_name, "/children"));
    if (!children.ok()) continue;
    char* at = const_cast<char*>(children.value().c_str());
    for (long pid = std::strtol(at, &at, 10); pid > 0; pid = std::strtol(at, &at, 10)) {
      const Result<UniqueFd> ns = sys::open(join("/proc/", pid, "/ns/user"), O_RDONLY);
      if (ns.ok() && inode(ns.value().get()) == inode(theirs.value().get())) {
        found.push_back(static_cast<pid_t>(pid));
      }
    }
  }
  ::closedir(threads);
  return found;
}

// Root of the container that sees the host's processes, more than any container's is.
std::string try_to_look_into(pid_t task, pid_t init) {
  return in_child([=]() -> std::string {
    const Result<UniqueFd> users = sys::open(join("/proc/", init, "/ns/user"), O_RDONLY);
    CHECK_THAT(users.ok());
    CHECK_INSIDE(expect_success("setns", ::setns(users.value().get(), CLONE_NEWUSER)));
    CHECK_INSIDE(expect_success("setgid", ::setresgid(0, 0, 0)));
    CHECK_INSIDE(expect_success("setuid", ::setresuid(0, 0, 0)));
    // That these attempts are good for something:
    CHECK_THAT(sys::open(join("/proc/", init, "/mem"), O_RDONLY).ok());
    CHECK_INSIDE(
        expect_errno("mem", ::open(join("/proc/", task, "/mem").c_str(), O_RDONLY), EACCES));
    CHECK_INSIDE(expect_errno("fd", ::open(join("/proc/", task, "/fd").c_str(), O_RDONLY), EACCES));
    CHECK_INSIDE(expect_errno("attach", ::ptrace(PTRACE_ATTACH, task, 0, 0), EPERM));
    CHECK_INSIDE(expect_errno("seize", ::ptrace(PTRACE_SEIZE, task, 0, 0), EPERM));
    char byte = 0;
    struct iovec local {
      &byte, 1
    };
    struct iovec remote {
      &byte, 1
    };
    return expect_errno("read", ::process_vm_readv(task, &local, 1, &remote, 1, 0), EPERM);
  });
}

TEST_F(InnerFuse, ThatDoesNotAnswerOpensNobodyOurMemory) {
  seccomp::NotifyLoop loop;
  std::string looked = "the task was never seen";
  const auto look = [&](pid_t init) {
    for (int tries = 0; tries < 1000; ++tries) {
      const std::vector<pid_t> tasks = tasks_in_namespace_of(init);
      if (!tasks.empty()) {
        looked = try_to_look_into(tasks[0], init);
        break;
      }
      ::usleep(5'000);
    }
    ::kill(init, SIGKILL);
  };
  const std::string outcome = run_in_container(
      [] {
        make_own_files_ours();
        return with_fuse(kForAll, [] {
          ::mount("proc", "fuse/never", "proc", 0, nullptr);
          return std::string();
        });
      },
      loop, look);
  EXPECT_EQ(looked, "");
  EXPECT_EQ(outcome, "the container was ended by signal 9");
}

}  // namespace
}  // namespace sysbox::testing

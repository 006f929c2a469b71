#include "seccomp-notify/caller_task.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <mutex>
#include <vector>

#include "common/passed_fds.h"
#include "common/syscalls.h"

namespace sysbox::seccomp {
namespace {

using namespace std::chrono_literals;

constexpr int kMostTries = 128;  // while renames race the walk
constexpr auto kPatience = 4s;

// All that the task needs, ready to use: it must not allocate.
struct Steps {
  const Caller* caller;
  std::vector<gid_t> groups;
  int root_fd;
  const TaskWork* work;
  int answer_socket;
  std::vector<int> kept_fds;  // sorted
  pid_t our_pid;
};

// Of our descriptors, some keep other containers' things alive.
void close_all_but(const std::vector<int>& kept) {
  unsigned first = 0;
  for (const int fd : kept) {
    const auto number = static_cast<unsigned>(fd);
    if (number > first) ::syscall(SYS_close_range, first, number - 1, 0);
    first = number + 1;
  }
  ::syscall(SYS_close_range, first, ~0U, 0);
}

bool take_ids(const Steps& steps) {
  const ProcessStatus& status = steps.caller->status;
  // Else the change of ids would take away the capabilities that entering a namespace needs.
  return ::syscall(SYS_prctl, PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0 &&
         ::syscall(SYS_setgroups, steps.groups.size(), steps.groups.data()) == 0 &&
         // A FUSE without allow_other wants to see its owner in all three.
         ::syscall(SYS_setresgid, status.gid, status.effective_gid, status.effective_gid) == 0 &&
         ::syscall(SYS_setresuid, status.uid, status.effective_uid, status.effective_uid) == 0 &&
         ::syscall(SYS_setfsgid, status.filesystem_gid) >= 0 &&
         ::syscall(SYS_setfsuid, status.filesystem_uid) >= 0;
}

// In the caller's user namespace, where the task has all capabilities first.
bool take_root_and_capabilities(const Steps& steps) {
  if (steps.root_fd >= 0 &&
      (::syscall(SYS_fchdir, steps.root_fd) != 0 || ::syscall(SYS_chroot, ".") != 0)) {
    return false;
  }
  const std::uint64_t capabilities = steps.caller->status.effective_capabilities;
  struct __user_cap_header_struct header {
    _LINUX_CAPABILITY_VERSION_3, 0
  };
  std::array<struct __user_cap_data_struct, 2> data{};
  data[0].permitted = data[0].effective = static_cast<std::uint32_t>(capabilities);
  data[1].permitted = data[1].effective = static_cast<std::uint32_t>(capabilities >> 32);
  return ::syscall(SYS_capset, &header, data.data()) == 0;
}

// Changes of credentials have cleared an earlier wish of that kind.
bool end_with_us(pid_t our_pid) {
  return ::syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 &&
         ::syscall(SYS_getppid) == our_pid;
}

bool become_caller(const Steps& steps) {
  return take_ids(steps) &&
         ::syscall(SYS_setns, steps.caller->user_namespace.get(), CLONE_NEWUSER) == 0 &&
         take_root_and_capabilities(steps) && end_with_us(steps.our_pid);
}

struct OpenStep {
  int dirfd;
  const char* path;
  struct open_how how;
};
long open_place(const void* arguments) {
  const auto& step = *static_cast<const OpenStep*>(arguments);
  for (int i = 0; i < kMostTries; ++i) {
    const long fd = ::syscall(SYS_openat2, step.dirfd, step.path, &step.how, sizeof step.how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) return fd;
  }
  return -1;
}

// The task: system calls only, as other threads may have held any lock when it was made.
[[noreturn]] void run_task(const Steps& steps) {
  close_all_but(steps.kept_fds);
  const long done = become_caller(steps) ? steps.work->step(steps.work->arguments) : -1;
  int code = done < 0 ? errno : 0;
  const int opened = done == TaskWork::kNoDescriptor ? -1 : static_cast<int>(done);
  struct iovec text {
    &code, sizeof code
  };
  struct msghdr message {};
  message.msg_iov = &text;
  message.msg_iovlen = 1;
  PassedFds passed;
  if (opened >= 0) passed.attach_to(message, {&opened, 1});
  ::syscall(SYS_sendmsg, steps.answer_socket, &message, MSG_NOSIGNAL);
  for (;;) ::syscall(SYS_exit_group, 0);
}

struct Task {
  UniqueFd pidfd;
  ino_t container = 0;

  bool has_ended(int options) const {
    siginfo_t ended{};
    const int rc =
        ::waitid(P_PIDFD, static_cast<id_t>(pidfd.get()), &ended, WEXITED | __WALL | options);
    return rc == 0 ? ended.si_pid != 0 : errno != EINTR;
  }
};

// Tasks whose FUSE has taken the question and does not answer: not even SIGKILL ends these before
// the FUSE ends.
class Stragglers {
 public:
  // A container has no more of them than it may have calls in the works; then it gets no more.
  static constexpr std::ptrdiff_t kMostOfOne = 4;

  static Stragglers& instance() {
    static auto* const stragglers = new Stragglers();  // threads use it until the end
    return *stragglers;
  }
  bool is_full(ino_t container) {
    const std::lock_guard lock(mutex_);
    std::erase_if(tasks_, [](const Task& task) { return task.has_ended(WNOHANG); });
    return std::count_if(tasks_.begin(), tasks_.end(), [&](const Task& task) {
             return task.container == container;
           }) >= kMostOfOne;
  }
  void add(Task task) {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }

 private:
  std::mutex mutex_;
  std::vector<Task> tasks_;
};

Result<UniqueFd> start_task(const Steps& steps) {
  // A signal to the task would run our handlers there.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
  struct clone_args arguments {};
  arguments.flags = CLONE_PIDFD;
  arguments.pidfd = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&pidfd));
  const long child = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (child == 0) run_task(steps);
  const int code = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (child < 0) return errno_error(code, "clone");
  return UniqueFd(pidfd);
}

Result<UniqueFd> receive_answer(int socket) {
  TRY(sys::wait_for(socket, POLLIN, after(kPatience)));
  int code = EIO;
  struct iovec text {
    &code, sizeof code
  };
  alignas(struct cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  struct msghdr message {};
  message.msg_iov = &text;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(socket, &message, MSG_CMSG_CLOEXEC) < 0) return last_error("receive");
  const struct cmsghdr* const rights = CMSG_FIRSTHDR(&message);
  if (rights == nullptr && code == 0) return UniqueFd();
  if (rights == nullptr) return errno_error(code, "task");
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
  return UniqueFd(fd);
}

}  // namespace

Result<UniqueFd> run_in_task_of(const Caller& caller, int root_fd, TaskWork work) {
  const ino_t container = TRY(container_user_namespace(caller));
  if (Stragglers::instance().is_full(container)) {
    return errno_error(EBUSY, "a file system of the container's does not answer");
  }
  // The task has a copy of our memory. Its pid is the host's, which most containers do not see,
  // but one may live in the host's pid namespace; whoever is root in the task's user namespace
  // could trace it there. What is not dumpable only CAP_SYS_PTRACE of the host opens.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return last_error("PR_SET_DUMPABLE");
  auto [our_end, its_end] = TRY(sys::socketpair(SOCK_SEQPACKET));
  Steps steps{};
  steps.caller = &caller;
  steps.groups.assign(caller.status.groups.begin(), caller.status.groups.end());
  steps.root_fd = root_fd;
  steps.work = &work;
  steps.answer_socket = its_end.get();
  for (const int fd : {caller.user_namespace.get(), root_fd, its_end.get()}) {
    if (fd >= 0) steps.kept_fds.push_back(fd);
  }
  for (const int fd : work.descriptors) {
    if (fd >= 0) steps.kept_fds.push_back(fd);
  }
  std::sort(steps.kept_fds.begin(), steps.kept_fds.end());
  steps.our_pid = ::getpid();

  Task task{TRY(start_task(steps)), container};
  its_end.reset();
  Result<UniqueFd> answer = receive_answer(our_end.get());
  if (!answer.ok() && answer.error().code() == ETIMEDOUT) {
    const Result<void> killed = sys::pidfd_send_signal(task.pidfd.get(), SIGKILL);
    static_cast<void>(killed.ok());
    Stragglers::instance().add(std::move(task));
  } else {
    while (!task.has_ended(0)) {
    }
  }
  return answer;
}

Result<UniqueFd> open_in_task_of(const Caller& caller, int root_fd, const OpenRequest& request) {
  OpenStep step{request.dirfd, request.path.c_str(), {}};
  step.how.flags = request.flags | O_CLOEXEC;
  step.how.resolve = request.resolve;
  return run_in_task_of(caller, root_fd, {&open_place, &step, {request.dirfd}}).in(request.path);
}

}  // namespace sysbox::seccomp

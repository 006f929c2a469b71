#include "tests/unit/seccomp-notify/trapped_container.h"

#include <gtest/gtest.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cstdlib>

#include "common/log.h"
#include "common/message_socket.h"
#include "common/root_dir.h"
#include "common/syscalls.h"
#include "fs-emulator/emulated_mounts.h"
#include "seccomp-notify/filter.h"

namespace sysbox::testing {
namespace {

using namespace std::chrono_literals;

constexpr int kTrouble = 97;

[[noreturn]] void die(int report_fd, const std::string& what) {
  if (::write(report_fd, what.data(), what.size()) < 0) ::_exit(kTrouble);
  ::_exit(kTrouble);
}

Result<void> settle_in(const std::string& scratch) {
  TRY(sys::mount("", "/", "", MS_REC | MS_PRIVATE, ""));
  TRY(sys::mount("tmpfs", scratch, "tmpfs", 0, "mode=755"));
  const UniqueFd directory = TRY(sys::open(scratch, O_PATH | O_DIRECTORY));
  TRY(sys::fchdir(directory.get()));
  TRY(sys::mkdirat(AT_FDCWD, "mnt", 0755));
  return {};
}

// The container's init: from here on everything runs under the notify filter.
[[noreturn]] void run_init(const std::string& scratch, MessageSocket& socket, int report_fd,
                           const Inside& inside) {
  if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) die(report_fd, "setresuid");
  if (const auto settled = settle_in(scratch); !settled.ok()) {
    die(report_fd, settled.error().message());
  }
  Result<UniqueFd> loaded = seccomp::load_notify_filter();
  if (!loaded.ok()) die(report_fd, loaded.error().message());
  UniqueFd listener = std::move(loaded).value();
  const int fd = listener.get();
  if (const auto sent = socket.send("{}", {&fd, 1}, after(5s)); !sent.ok()) {
    die(report_fd, sent.error().message());
  }
  listener.reset();
  if (const auto served = socket.receive(after(5s)); !served.ok()) {
    die(report_fd, served.error().message());
  }
  const std::string failure = inside();
  if (!failure.empty()) die(report_fd, failure);
  ::_exit(0);
}

// The first child: makes the namespaces, has its ids mapped, and forks the init.
[[noreturn]] void run_outer(const std::string& scratch, MessageSocket socket, int report_fd,
                            const Inside& inside) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
                CLONE_NEWUTS) != 0) {
    die(report_fd, "unshare");
  }
  if (!socket.send("{}", {}, after(5s)).ok()) die(report_fd, "socket");
  if (!socket.receive(after(5s)).ok()) die(report_fd, "socket");
  const pid_t init = ::fork();
  if (init == 0) run_init(scratch, socket, report_fd, inside);
  if (init < 0) die(report_fd, "fork");
  int status = 0;
  ::waitpid(init, &status, 0);
  if (WIFEXITED(status)) ::_exit(WEXITSTATUS(status));
  die(report_fd, join("the container was ended by signal ", WTERMSIG(status)));
}

struct ScratchDirectory {
  std::string path;
  ScratchDirectory() {
    std::string name = "/tmp/trapped-container-XXXXXX";
    path = ::mkdtemp(name.data());
    if (::chmod(path.c_str(), 0755) != 0) path.clear();
  }
  ~ScratchDirectory() { ::rmdir(path.c_str()); }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
};

Result<void> oversee(pid_t outer, MessageSocket& socket, seccomp::NotifyLoop& loop,
                     const std::function<void(int)>& while_running) {
  TRY(socket.receive(after(5s)));
  const std::string map = join("0 ", kFirstHostId, " 65536");
  TRY(sys::write_file(join("/proc/", outer, "/uid_map"), map));
  TRY(sys::write_file(join("/proc/", outer, "/gid_map"), map));
  TRY(socket.send("{}", {}, after(5s)));
  Message loaded = TRY(socket.receive(after(5s)));
  if (loaded.fds.empty()) return errno_error(EIO, "no listener");
  TRY(loop.add(std::move(loaded.fds[0]), make_actions(join("/proc/", outer, "/ns/net"))));
  TRY(socket.send("{}", {}, after(5s)));
  if (while_running) {
    const std::string children =
        TRY(sys::read_file(join("/proc/", outer, "/task/", outer, "/children")));
    while_running(std::atoi(children.c_str()));
  }
  return {};
}

}  // namespace

std::string why_no_containers() {
  if (::geteuid() != 0) return "not root";
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) return "no user or mount namespaces";
  return "";
}

std::shared_ptr<const fs::EmulatedTree> make_pieces() {
  const auto make = []() -> Result<std::shared_ptr<const fs::EmulatedTree>> {
    const auto tree = std::make_shared<fs::EmulatedTree>();
    const UniqueFd context = TRY(sys::fsopen("tmpfs"));
    TRY(sys::fsconfig_string(context.get(), "mode", "755"));
    TRY(sys::fsconfig_create(context.get()));
    tree->mount = TRY(sys::fsmount(context.get(), 0));
    for (const char* name : {"uptime", "loadavg", "panic", "ip_forward", "fscaps"}) {
      const UniqueFd file = TRY(sys::openat(tree->mount.get(), name, O_WRONLY | O_CREAT, 0644));
      TRY(sys::write_all(file.get(), kPieceText));
      TRY(sys::fchownat(file.get(), "", kFirstHostId, kFirstHostId, AT_EMPTY_PATH));
    }
    tree->pieces = {
        {"proc", "uptime", "uptime"},          {"proc", "loadavg", "loadavg"},
        {"proc", "sys/kernel/panic", "panic"}, {"proc", "sys/net/ipv4/ip_forward", "ip_forward"},
        {"proc", "no/such/file", "panic"},     {"sysfs", "kernel/fscaps", "fscaps"}};
    return std::shared_ptr<const fs::EmulatedTree>(tree);
  };
  Result<std::shared_ptr<const fs::EmulatedTree>> tree = make();
  EXPECT_TRUE(tree.ok()) << tree.error().message();
  return tree.ok() ? tree.value() : std::make_shared<const fs::EmulatedTree>();
}

std::shared_ptr<seccomp::ContainerActions> make_actions(const std::string& network_namespace) {
  auto identity = std::make_shared<fs::ContainerIdentity>();
  identity->id = "trapped";
  return fs::make_container_actions(
      identity, make_pieces(),
      fs::LiveFacts{[](int) -> Result<seccomp::SystemInformation> { return kSystemInformation; },
                    [](int) { return std::size_t{1}; },
                    [network_namespace] { return sys::open(network_namespace, O_RDONLY); },
                    [] { return Result<ino_t>(errno_error(ENOSYS, "mount namespace")); }});
}

std::string run_in_container(const Inside& inside, seccomp::NotifyLoop& loop,
                             const std::function<void(int)>& while_running) {
  const ScratchDirectory scratch;
  auto sockets = sys::socketpair(SOCK_STREAM);
  auto report = sys::pipe();
  if (!sockets.ok() || !report.ok()) return "socketpair or pipe";
  auto [ours, theirs] = std::move(sockets).value();
  auto [report_end, report_write_end] = std::move(report).value();
  const pid_t outer = ::fork();
  if (outer == 0) {
    ours.reset();
    run_outer(scratch.path, MessageSocket(std::move(theirs)), report_write_end.get(), inside);
  }
  theirs.reset();
  report_write_end.reset();
  MessageSocket socket(std::move(ours));
  const Result<void> overseen = oversee(outer, socket, loop, while_running);
  const Result<std::string> failure = sys::read_all(report_end.get());
  int status = 0;
  ::waitpid(outer, &status, 0);
  if (failure.ok() && !failure.value().empty()) return failure.value();
  if (!overseen.ok()) return overseen.error().message();
  return status == 0 ? "" : join("exit status ", status);
}

void expect_inside(const Inside& inside) {
  if (std::getenv("SHOW_DEBUG") != nullptr) log::set_level(log::Level::kDebug);
  seccomp::NotifyLoop loop;
  const std::string outcome = run_in_container(inside, loop);
  EXPECT_EQ(outcome, "");
}

std::string read_text(const std::string& path) {
  Result<std::string> text = sys::read_file(path);
  return text.ok() ? text.value() : text.error().message();
}

int shell(const std::string& command) {
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

std::string expect_shell(const std::string& command) {
  const int code = shell(command);
  return code == 0 ? "" : join("'", command, "' exits with ", code);
}

std::string expect_errno(const char* what, long rc, int code) {
  const int seen = errno;
  if (rc >= 0) return join(what, " succeeds");
  return seen == code ? "" : join(what, ": ", errno_text(seen), ", not ", errno_text(code));
}

std::string expect_piece_stays(const std::string& path) {
  const int first = ::umount2(path.c_str(), 0);
  if (first != 0) CHECK_INSIDE(expect_errno("umount of a piece", first, EINVAL));
  for (const int flags : {0, int{UMOUNT_NOFOLLOW}, int{MNT_DETACH}}) {
    CHECK_INSIDE(expect_errno("umount again", ::umount2(path.c_str(), flags), EINVAL));
  }
  CHECK_THAT(read_text(path) == kPieceText);
  return "";
}

std::string expect_success(const char* what, long rc) {
  return rc >= 0 ? "" : join(what, ": ", errno_text(errno));
}

std::string as_user(unsigned uid, const Inside& inside) {
  auto report = sys::pipe();
  if (!report.ok()) return "pipe";
  auto [read_end, write_end] = std::move(report).value();
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresgid(uid, uid, uid) != 0 || ::setresuid(uid, uid, uid) != 0) {
      die(write_end.get(), "setresuid");
    }
    const std::string failure = inside();
    if (!failure.empty()) die(write_end.get(), failure);
    ::_exit(0);
  }
  write_end.reset();
  const Result<std::string> failure = sys::read_all(read_end.get());
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!failure.ok()) return failure.error().message();
  return status == 0 || !failure.value().empty() ? failure.value() : join("exit status ", status);
}

}  // namespace sysbox::testing

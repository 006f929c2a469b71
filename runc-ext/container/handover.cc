#include "runc-ext/container/handover.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common/state_file.h"
#include "common/syscalls.h"
#include "runc-ext/container/console.h"

namespace sysbox::runc {
namespace {

Result<UniqueFd> single_fd(StepMessage& message, std::string_view what) {
  if (message.fds.size() != 1) return Error(EPROTO, join(what, ": no descriptor came along"));
  return std::move(message.fds.front());
}

}  // namespace

Result<void> Handover::connect(const EngineSockets& sockets,
                               const std::optional<OciSeccomp>& seccomp) {
  if (!sockets.console.empty()) {
    console_socket_ = TRY(connect_engine_socket(sockets.console, "console socket"));
  }
  if (!sockets.pidfd.empty()) {
    pidfd_socket_ = TRY(connect_engine_socket(sockets.pidfd, "pidfd socket"));
  }
  if (seccomp && asks_for_listener(*seccomp)) {
    agent_socket_ = TRY(connect_engine_socket(seccomp->listener_path, "linux.seccomp.listenerPath")
                            .in("failed to connect with seccomp agent"));
    agent_message_.metadata = seccomp->listener_metadata;
  }
  return {};
}

void Handover::tell_of_process(pid_t pid, OciState state) {
  agent_message_.pid = pid;
  agent_message_.state = std::move(state);
}

Result<void> Handover::give_pidfd(int pidfd, std::string_view name) {
  if (!pidfd_socket_) return {};
  TRY(send_named_fd(pidfd_socket_.get(), name, pidfd));
  pidfd_socket_.reset();
  return {};
}

Result<void> Handover::take_console(StepMessage& message) {
  console_master_ = TRY(single_fd(message, "console"));
  if (!console_socket_) {
    // Before the program can ask for it, or write.
    keep_line_ends(console_master_.get());
    copy_own_terminal_size(console_master_.get());
    return {};
  }
  TRY(send_named_fd(console_socket_.get(), kConsoleName, console_master_.get()));
  console_master_.reset();
  console_socket_.reset();
  return {};
}

Result<void> Handover::take_listener(StepMessage& message) {
  const UniqueFd listener = TRY(single_fd(message, "seccomp listener"));
  if (!agent_socket_) return emulator_.add_listener(container_id_, listener.get());
  TRY(send_named_fd(agent_socket_.get(), text_for_seccomp_agent(agent_message_), listener.get())
          .in("linux.seccomp.listenerPath"));
  agent_socket_.reset();
  return {};
}

Result<void> write_pid_file(const std::string& path, pid_t pid) {
  if (path.empty()) return {};
  const std::size_t slash = path.rfind('/');
  const std::string name = path.substr(slash + 1);  // npos + 1 is 0
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd directory = TRY(sys::open(parent, O_PATH | O_DIRECTORY).in("--pid-file"));
  return replace_file(directory.get(), name, std::to_string(pid), Durability::kProcessCrash)
      .in("--pid-file");
}

void give_stdio_to(uid_t host_uid, gid_t host_gid) {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    const Result<struct stat> stream = sys::fstat(fd);
    if (!stream.ok() || !S_ISFIFO(stream.value().st_mode)) continue;
    // Another process's pipe that cannot be given away still can be written to.
    static_cast<void>(::fchown(fd, host_uid, host_gid));
  }
}

}  // namespace sysbox::runc

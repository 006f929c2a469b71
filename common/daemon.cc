#include "common/daemon.h"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigset_t, sigwait
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include <cstdlib>
#include <cstring>
#include <iostream>

#include "common/log.h"
#include "common/syscalls.h"

namespace sysbox::daemon {
namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

Result<void> make_private_directory(const std::string& path) {
  const Result<void> made = sys::mkdirat(AT_FDCWD, path, 0700);
  if (!made.ok() && made.error().code() != EEXIST) return made.error();
  return {};
}

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

Result<UniqueFd> take_instance_lock(const std::string& path) {
  TRY(make_private_directory(parent_of(path)));
  UniqueFd file = TRY(sys::open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return last_error("lock '", path, "'");
    Result<std::string> pid = sys::read_all(file.get(), 64);
    std::string holder = pid.ok() ? std::move(pid).value() : "";
    while (holder.ends_with('\n')) holder.pop_back();
    return Error(
        EBUSY, join("already running: pid ", holder.empty() ? "unknown" : holder, " holds ", path));
  }
  TRY(sys::ftruncate(file.get(), 0));
  TRY(sys::write_all(file.get(), join(::getpid(), "\n")).in(path));
  return file;
}

Result<UniqueFd> listen_at(const std::string& path) {
  TRY(make_private_directory(parent_of(path)));
  struct sockaddr_un address {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return errno_error(ENAMETOOLONG, "socket ", path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return last_error("socket");
  ::unlink(path.c_str());
  if (::bind(socket.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address) != 0) {
    return last_error("bind '", path, "'");
  }
  if (::chmod(path.c_str(), 0600) != 0) return last_error("chmod '", path, "'");
  if (::listen(socket.get(), SOMAXCONN) != 0) return last_error("listen at '", path, "'");
  return socket;
}

void block_stop_signals() {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
  sigaction(SIGHUP, &ignore, nullptr);
}

int wait_for_stop_signal() {
  const sigset_t set = stop_signals();
  int signal = 0;
  while (sigwait(&set, &signal) != 0) {
  }
  return signal;
}

void notify_ready(const std::string& status) {
  sd_notifyf(0, "READY=1\nSTATUS=%s", status.c_str());
}
void notify_stopping() { sd_notify(0, "STOPPING=1"); }

Result<void> set_up_log(const LogOptions& options) {
  const std::string& format = options.format;
  const std::optional<log::Level> parsed = log::parse_level(options.level);
  if (!parsed) {
    return Error(EINVAL,
                 join("--log-level: '", options.level, "' is none of debug, info, warning, error"));
  }
  log::set_level(*parsed);
  if (format == "json") {
    log::set_format(log::Format::kJson);
  } else if (format == "journal" || (format.empty() && std::getenv("JOURNAL_STREAM") != nullptr)) {
    log::set_format(log::Format::kJournal);
  } else if (format.empty() || format == "text") {
    log::set_format(log::Format::kText);
  } else {
    return Error(EINVAL, join("--log-format: '", format, "' is none of text, json, journal"));
  }
  if (options.file.empty()) return {};
  log::set_output(TRY(sys::open(options.file, O_WRONLY | O_CREAT | O_APPEND, 0600)));
  return {};
}

void raise_descriptor_limit() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int exit_code(const std::string& program, const Result<void>& done) {
  if (done.ok()) return 0;
  log::error(done.error().message());
  if (!log::writes_to_stderr()) std::cerr << program << ": " << done.error().message() << "\n";
  return 1;
}

}  // namespace sysbox::daemon

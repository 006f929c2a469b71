#include "runc-ext/container/hooks.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>

#include "common/log.h"
#include "common/syscalls.h"
#include "common/unique_fd.h"
#include "runc-ext/container/foreground.h"

namespace sysbox::runc {
namespace {

// Of a hook's output only the end is of interest: its last line is why it failed.
constexpr std::size_t kKeptOutputBytes = 4096;

// What the hook's process needs, made before the fork.
struct HookProgram {
  std::string path;
  std::string directory;
  std::vector<char*> argv;
  std::vector<char*> envp;
  UniqueFd standard_input;
  UniqueFd output;        // both standard output and error
  UniqueFd exec_failure;  // gets errno if execve fails; closed by a successful one
};

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// A file with the state in it: unlike a pipe, a hook that does not read it does not break it.
Result<UniqueFd> state_as_file(const OciState& state) {
  UniqueFd file(::memfd_create("oci-state", MFD_CLOEXEC));
  if (!file) return last_error("memfd_create");
  TRY(sys::write_all(file.get(), state_for_hooks(state)));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return last_error("rewind the hook's state");
  return file;
}

[[noreturn]] void run_in_child(const HookProgram& program) {
  ::setpgid(0, 0);  // so that a timeout takes the hook's children along
  reset_signals();
  constexpr int kFailureFd = STDERR_FILENO + 1;
  // The specification promises no working directory, and the container's root may not be allowed
  // to reach this one: better to run the hook elsewhere than not at all.
  [[maybe_unused]] const int moved =
      program.directory.empty() ? 0 : ::chdir(program.directory.c_str());
  if (::dup2(program.standard_input.get(), STDIN_FILENO) >= 0 &&
      ::dup2(program.output.get(), STDOUT_FILENO) >= 0 &&
      ::dup2(program.output.get(), STDERR_FILENO) >= 0 &&
      (program.exec_failure.get() == kFailureFd ||
       ::dup3(program.exec_failure.get(), kFailureFd, O_CLOEXEC) >= 0) &&
      ::close_range(kFailureFd + 1, ~0U, 0) == 0) {
    ::execve(program.path.c_str(), program.argv.data(), program.envp.data());
  }
  const int code = errno;
  [[maybe_unused]] const ssize_t written = ::write(kFailureFd, &code, sizeof code);
  ::_exit(127);
}

// Takes what is there of the output, keeps its end; false when no more can come.
bool read_output(int output_fd, std::string& kept) {
  std::array<char, kKeptOutputBytes> chunk;
  for (;;) {
    const ssize_t n = ::read(output_fd, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return false;
    kept.append(chunk.data(), static_cast<std::size_t>(n));
    if (kept.size() > kKeptOutputBytes) kept.erase(0, kept.size() - kKeptOutputBytes);
  }
}

std::string last_line(const std::string& output) {
  const std::size_t end = output.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) return "";
  const std::size_t newline = output.find_last_of('\n', end);
  const std::size_t begin = newline == std::string::npos ? 0 : newline + 1;
  return output.substr(begin, end - begin + 1);
}

// Waits for the end of the process, reading its output meanwhile. What it may have left running
// is not waited for, even if that holds the output open. False: the deadline came first.
Result<bool> wait_for_end(int pidfd, int output_fd, const std::optional<Deadline>& deadline,
                          std::string& output) {
  bool open = true;
  for (;;) {
    std::array<struct pollfd, 2> fds = {{{pidfd, POLLIN, 0}, {open ? output_fd : -1, POLLIN, 0}}};
    const int ready = ::poll(fds.data(), fds.size(), deadline ? milliseconds_until(*deadline) : -1);
    if (ready < 0 && errno != EINTR) return last_error("poll");
    if (ready == 0) return false;
    if (ready > 0 && fds[1].revents != 0) open = read_output(output_fd, output);
    if (ready > 0 && fds[0].revents != 0) {
      if (open) read_output(output_fd, output);
      return true;
    }
  }
}

Result<int> reap(pid_t pid) {
  for (;;) {
    int status = 0;
    if (::waitpid(pid, &status, 0) == pid) return status;
    if (errno != EINTR) return last_error("waitpid");
  }
}

Result<void> judge(int status, const std::string& output) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  const std::string line = last_line(output);
  const std::string what = WIFSIGNALED(status) ? join("killed by signal ", WTERMSIG(status))
                                               : join("exit status ", WEXITSTATUS(status));
  return Error(EIO, line.empty() ? what : join(what, ": ", line));
}

Result<void> run_hook(const OciHook& hook, const OciState& state, const HookPlace& place) {
  std::vector<std::string> args = hook.args.empty() ? std::vector{hook.path} : hook.args;
  std::vector<std::string> env = hook.env.empty() ? place.default_env : hook.env;
  auto [output, output_writer] = TRY(sys::pipe());
  auto [failure, failure_writer] = TRY(sys::pipe());
  if (::fcntl(output.get(), F_SETFL, O_NONBLOCK) != 0) return last_error("fcntl");
  UniqueFd standard_input = TRY(state_as_file(state));
  HookProgram program{hook.path,
                      place.directory,
                      pointers_to(args),
                      pointers_to(env),
                      std::move(standard_input),
                      std::move(output_writer),
                      std::move(failure_writer)};

  const pid_t pid = ::fork();
  if (pid < 0) return last_error("fork");
  if (pid == 0) run_in_child(program);
  program.output.reset();
  program.exec_failure.reset();
  ::setpgid(pid, pid);  // in the child as well: whoever comes first

  int exec_errno = 0;
  if (::read(failure.get(), &exec_errno, sizeof exec_errno) == sizeof exec_errno) {
    TRY(reap(pid));
    return errno_error(exec_errno, "cannot be run");
  }
  std::optional<Deadline> deadline;
  if (hook.timeout_seconds) deadline = after(std::chrono::seconds(*hook.timeout_seconds));
  std::string text;
  const Result<UniqueFd> pidfd = sys::pidfd_open(pid);
  Result<bool> ended = pidfd.ok() ? wait_for_end(pidfd.value().get(), output.get(), deadline, text)
                                  : Result<bool>(pidfd.error());
  if (!ended.ok() || !ended.value()) ::kill(-pid, SIGKILL);
  const int status = TRY(reap(pid));
  if (!TRY(std::move(ended))) {
    return Error(ETIMEDOUT, join("killed after its timeout of ", *hook.timeout_seconds, " s"));
  }
  return judge(status, text);
}

std::string name_of(const std::vector<OciHook>& hooks, std::size_t index, const char* kind) {
  return join("error running ", kind, " hook #", index, ": ", hooks[index].path);
}

}  // namespace

HookPlace place_in_bundle(const std::string& bundle) {
  HookPlace place;
  place.directory = bundle;
  for (char** entry = ::environ; *entry != nullptr; ++entry) place.default_env.emplace_back(*entry);
  return place;
}

Result<void> run_hooks(const std::vector<OciHook>& hooks, const OciState& state, const char* kind,
                       const HookPlace& place) {
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    log::debug("running ", kind, " hook #", i, ": ", hooks[i].path);
    TRY(run_hook(hooks[i], state, place).in(name_of(hooks, i, kind)));
  }
  return {};
}

std::vector<Error> run_all_hooks(const std::vector<OciHook>& hooks, const OciState& state,
                                 const char* kind, const HookPlace& place) {
  std::vector<Error> failed;
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    Result<void> done = run_hook(hooks[i], state, place).in(name_of(hooks, i, kind));
    if (!done.ok()) failed.push_back(std::move(done).error());
  }
  return failed;
}

}  // namespace sysbox::runc

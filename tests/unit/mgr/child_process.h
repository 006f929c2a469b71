#pragma once

// A program started by a test and ended with it.

#include <fcntl.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill
#include <spawn.h>
#include <sys/wait.h>

#include <string>
#include <utility>
#include <vector>

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace sysbox::mgr {

class ChildProcess {
 public:
  // Standard error goes to `error_file` if one is given.
  explicit ChildProcess(std::vector<std::string> arguments, const std::string& error_file = {}) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (!error_file.empty()) {
      posix_spawn_file_actions_addopen(&actions, 2, error_file.c_str(),
                                       O_WRONLY | O_CREAT | O_APPEND, 0600);
    }
    if (::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
  }
  ~ChildProcess() { stop(SIGKILL); }
  ChildProcess(ChildProcess&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  ChildProcess& operator=(ChildProcess&& other) noexcept {
    if (this != &other) {
      stop(SIGKILL);
      pid_ = std::exchange(other.pid_, -1);
    }
    return *this;
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  // Sends the signal, waits, and returns the exit code (128 + signal if one ended it).
  int stop(int signal) {
    if (pid_ > 0) ::kill(pid_, signal);
    return wait();
  }
  int wait() {
    if (pid_ <= 0) return -1;
    int status = 0;
    if (::waitpid(std::exchange(pid_, -1), &status, 0) < 0) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
};

}  // namespace sysbox::mgr

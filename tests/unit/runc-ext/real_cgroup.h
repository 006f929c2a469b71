#pragma once

// The machine's real cgroup hierarchies for tests, in a top-level directory of their own.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <string>

#include "common/syscalls.h"
#include "runc-ext/cgroup/cgroup.h"
#include "runc-ext/cgroup/cgroup_tree.h"

namespace sysbox::runc {

inline constexpr uid_t kContainerRoot = 231072;
inline constexpr std::int64_t kMiB = 1 << 20;

inline std::string read_line(const std::string& path) {
  std::string text = sys::read_file(path).value_or("(no such file)");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

inline uid_t owner_of(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_uid : static_cast<uid_t>(-1);
}

inline std::string message_of(const Result<void>& result) {
  return result ? "no error" : result.error().message();
}

// A forked process; it runs `body` and then waits to be killed.
class Child {
 public:
  explicit Child(const std::function<void()>& body = [] {}) {
    pid_ = ::fork();
    if (pid_ == 0) {
      body();
      for (;;) ::pause();
    }
  }
  ~Child() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  // The raw wait status; -1 if it was waited for already.
  int wait() {
    int status = -1;
    if (pid_ > 0) ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return status;
  }

 private:
  pid_t pid_ = 0;
};

// Runs `body` in a forked process and returns what it returned (0…255).
inline int exit_code_of(const std::function<int()>& body, int cgroup_fd = -1) {
  clone_args arguments = {};
  arguments.exit_signal = SIGCHLD;
  if (cgroup_fd >= 0) {
    arguments.flags = CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(cgroup_fd);
  }
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (pid == 0) ::_exit(body());
  int status = -1;
  ::waitpid(static_cast<pid_t>(pid), &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

inline int open_errno(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return errno;
  ::close(fd);
  return 0;
}

// The real hierarchies of the machine, in a top-level directory of our own.
class RealCgroup : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    Result<CgroupHost> found = find_cgroup_host();
    if (!found) GTEST_SKIP() << found.error().message();
    host_ = std::move(found).value();
    top_ = join("/sysbox-unit-", ::getpid());
    cgroup_ = planned("box");
  }
  void TearDown() override {
    for (const CgroupHierarchy& each : host_.hierarchies) {
      EXPECT_EQ(
          message_of(remove_cgroup_tree(each.mount_point + top_, after(std::chrono::seconds(2)))),
          "no error");
    }
  }

  Cgroup planned(const std::string& name) const {
    return Cgroup::plan(host_, top_ + "/" + name, name).value();
  }
  // create, apply, delegate
  void start(const OciResources& resources = {}) {
    ASSERT_EQ(message_of(cgroup_.create()), "no error");
    ASSERT_EQ(message_of(cgroup_.apply(resources)), "no error");
    ASSERT_EQ(message_of(cgroup_.delegate(kContainerRoot, kContainerRoot)), "no error");
  }
  // The container's directory of a v1 controller, "" if the host has it not on v1.
  std::string v1(const std::string& controller) const {
    for (const CgroupHierarchy& each : host_.hierarchies) {
      if (std::find(each.controllers.begin(), each.controllers.end(), controller) !=
          each.controllers.end()) {
        return cgroup_.state().directories.at(each.name);
      }
    }
    return "";
  }
  std::string delegated(const std::string& controller) const {
    const std::string directory = v1(controller);
    for (const auto& [name, each] : cgroup_.state().delegated) {
      if (!name.empty() && each.starts_with(directory + "/")) return each;
    }
    return "(not delegated)";
  }
  std::string v2() const {
    const auto found = cgroup_.state().directories.find("");
    return found == cgroup_.state().directories.end() ? "" : found->second;
  }
  // Moves another process to where the container's are.
  Result<void> move_inside(pid_t pid) const {
    const CgroupState& state = cgroup_.state();
    for (const auto& [name, directory] : state.directories) {
      const auto found = state.delegated.find(name);
      std::string place = found == state.delegated.end() ? directory : found->second;
      if (name.empty()) place += "/" + state.leaf;
      Result<void> moved = sys::write_file(place + "/cgroup.procs", std::to_string(pid));
      if (!moved) return moved;
    }
    return {};
  }
  // As the saved state of another command of the runtime would have it.
  Cgroup again() const { return Cgroup::from_state(cgroup_.state()); }

  CgroupHost host_;
  std::string top_;
  Cgroup cgroup_ = Cgroup::from_state({});
};

#define SKIP_WITHOUT_V1(controller) \
  if (v1(controller).empty()) GTEST_SKIP() << "no v1 hierarchy of " << (controller)
#define SKIP_WITHOUT_V2() \
  if (v2().empty()) GTEST_SKIP() << "no cgroup v2"

}  // namespace sysbox::runc

// Triggers on /proc/pressure of a container, on a real cgroup v2 under real pressure.

#include "fs-emulator/pressure_triggers.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include <array>
#include <filesystem>
#include <vector>

#include "tests/unit/fs-emulator/daemon_fixture.h"

namespace sysbox::fs {
namespace {

constexpr const char* kCpu = "proc:pressure/cpu";
// 10 ms of 2 s; windows of whole 2 s are free for all.
constexpr std::string_view kTrigger = "some 10000 2000000";

// A cgroup v2 that tasks can be put under pressure in; both end with it.
class PressedCgroup {
 public:
  PressedCgroup() {
    for (const char* root : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}) {
      const std::string path = join(root, "/sysbox-pressure-test-", ::getpid());
      if (!std::filesystem::exists(std::string(root) + "/cgroup.procs")) continue;
      std::error_code error;
      std::filesystem::create_directory(path, error);
      if (!std::filesystem::exists(path + "/cpu.pressure")) {
        std::filesystem::remove(path, error);
        continue;
      }
      path_ = path;
      return;
    }
  }
  ~PressedCgroup() {
    for (const pid_t pid : busy_) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    if (!path_.empty()) ::rmdir(path_.c_str());
  }
  PressedCgroup(const PressedCgroup&) = delete;
  PressedCgroup& operator=(const PressedCgroup&) = delete;

  const std::string& path() const { return path_; }

  // Two tasks that want one cpu.
  void press() {
    for (int i = 0; i < 2; ++i) {
      const pid_t pid = ::fork();
      if (pid == 0) {
        ::close_range(3, ~0U, 0);  // whose end others wait for
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(0, &one);
        ::sched_setaffinity(0, sizeof one, &one);
        for (;;) {
        }
      }
      busy_.push_back(pid);
      ASSERT_TRUE(sys::write_file(path_ + "/cgroup.procs", std::to_string(pid)).ok());
    }
  }

 private:
  std::string path_;
  std::vector<pid_t> busy_;
};

class PressureTrigger : public ::testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_FUSE();
    if (cgroup_.path().empty()) GTEST_SKIP() << "no cgroup v2 with pressure files";
  }

  static short events_within(int fd, int milliseconds) {
    struct pollfd state {
      fd, POLLPRI, 0
    };
    return ::poll(&state, 1, milliseconds) == 1 ? state.revents : short{0};
  }

  PressedCgroup cgroup_;
};

TEST_F(PressureTrigger, WakesWhoPolls) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box", {{"", cgroup_.path()}}));
  const UniqueFd file = sys::openat(box.root(), kCpu, O_RDWR).value();
  ASSERT_EQ(::write(file.get(), kTrigger.data(), kTrigger.size() + 1), 19) << errno;
  EXPECT_EQ(events_within(file.get(), 0), 0);
  cgroup_.press();
  EXPECT_EQ(events_within(file.get(), 15000), POLLPRI);
  // Told once for each time that it fires, again and again.
  EXPECT_EQ(events_within(file.get(), 15000), POLLPRI);
  std::array<char, 64> text{};
  EXPECT_GT(::pread(file.get(), text.data(), text.size() - 1, 0), 0);
  EXPECT_EQ(std::string_view(text.data()).substr(0, 11), "some avg10=");
}

TEST_F(PressureTrigger, IsAskedOfTheKernel) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box", {{"", cgroup_.path()}}));
  const UniqueFd file = sys::openat(box.root(), kCpu, O_RDWR).value();
  const auto write_errno = [&file](std::string_view text) {
    return ::write(file.get(), text.data(), text.size() + 1) < 0 ? errno : 0;
  };
  EXPECT_EQ(events_within(file.get(), 0), POLLPRI | POLLERR) << "without a trigger";
  EXPECT_EQ(write_errno("nonsense"), EINVAL);
  EXPECT_EQ(write_errno("some 3000000 2000000"), EINVAL) << "more than its window";
  EXPECT_EQ(write_errno(kTrigger), 0);
  EXPECT_EQ(write_errno(kTrigger), EBUSY);
}

TEST_F(PressureTrigger, GoesWithItsFileAndItsContainer) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box", {{"", cgroup_.path()}}));
  std::vector<UniqueFd> files;
  int refused = 0;
  while (refused == 0 && files.size() < 100) {
    files.push_back(sys::openat(box.root(), kCpu, O_RDWR).value());
    if (::write(files.back().get(), kTrigger.data(), kTrigger.size() + 1) < 0) refused = errno;
  }
  EXPECT_EQ(refused, ENOMEM);
  files.clear();
  const UniqueFd file = sys::openat(box.root(), kCpu, O_RDWR).value();
  ASSERT_EQ(::write(file.get(), kTrigger.data(), kTrigger.size() + 1), 19) << errno;
  cgroup_.press();
  parts.registry().unregister_container("box");
  EXPECT_EQ(events_within(file.get(), 15000) & POLLERR, POLLERR);
}

}  // namespace
}  // namespace sysbox::fs

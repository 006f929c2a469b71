#include "runc-ext/container/foreground.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <functional>

#include "common/syscalls.h"
#include "runc-ext/container/console.h"

namespace sysbox::runc {
namespace {

using ::testing::HasSubstr;

constexpr int kNoResult = 99;

// A runtime in a process of its own (it changes signal masks and terminals) that runs `script`
// in the foreground; gives the exit code that the runtime saw.
int run_in_foreground(const std::string& script) {
  Result<Foreground> foreground = Foreground::prepare(Subreaper::kYes);
  if (!foreground.ok()) return kNoResult;
  const pid_t child = ::fork();
  if (child == 0) {
    reset_signals();
    ::execl("/bin/sh", "sh", "-c", script.c_str(), nullptr);
    ::_exit(kNoResult);
  }
  const Result<int> code = foreground.value().wait_and_forward(child);
  return code.ok() ? code.value() : kNoResult;
}

// The same with a console.
int run_with_console(const std::string& script) {
  Result<Foreground> foreground = Foreground::prepare(Subreaper::kYes);
  if (!foreground.ok()) return kNoResult;
  Console console = open_console().value();
  const pid_t child = ::fork();
  if (child == 0) {
    reset_signals();
    if (!take_console(console.slave.get()).ok()) ::_exit(kNoResult);
    ::execl("/bin/sh", "sh", "-c", script.c_str(), nullptr);
    ::_exit(kNoResult);
  }
  console.slave.reset();
  const Result<int> code = foreground.value().wait_and_forward(child, std::move(console.master));
  return code.ok() ? code.value() : kNoResult;
}

class Runtime {
 public:
  // `terminal`: the runtime's own; else its standard streams are two pipes.
  Runtime(const std::function<int()>& work, const Console* terminal = nullptr) {
    auto [in_read, in_write] = sys::pipe().value();
    auto [out_read, out_write] = sys::pipe().value();
    pid_ = ::fork();
    if (pid_ == 0) {
      if (terminal != nullptr) {
        static_cast<void>(take_console(terminal->slave.get()));
      } else {
        ::dup2(in_read.get(), STDIN_FILENO);
        ::dup2(out_write.get(), STDOUT_FILENO);
      }
      ::close_range(3, ~0U, terminal != nullptr ? CLOSE_RANGE_CLOEXEC : 0);
      ::_exit(work());
    }
    input_ = std::move(in_write);
    output_ = std::move(out_read);
  }
  ~Runtime() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  pid_t pid() const { return pid_; }
  void type(const std::string& text) { ASSERT_TRUE(sys::write_all(input_.get(), text).ok()); }
  void end_input() { input_.reset(); }
  void close_output() { output_.reset(); }

  std::string read_until(const std::string& wanted) { return read_from(output_.get(), wanted); }
  // Until `wanted` has been seen, the end, or ten seconds.
  static std::string read_from(int fd, const std::string& wanted) {
    const Deadline deadline = after(std::chrono::seconds(10));
    std::string text;
    while (text.find(wanted) == std::string::npos || wanted.empty()) {
      if (!sys::wait_for(fd, POLLIN, deadline).ok()) break;
      std::array<char, 4096> chunk;
      const ssize_t n = ::read(fd, chunk.data(), chunk.size());
      if (n <= 0) break;
      text.append(chunk.data(), static_cast<std::size_t>(n));
    }
    return text;
  }

  int exit_code() {
    const auto pidfd = sys::pidfd_open(pid_);
    EXPECT_TRUE(sys::wait_for(pidfd.value().get(), POLLIN, after(std::chrono::seconds(10))).ok())
        << "the runtime hangs";
    int status = 0;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
  UniqueFd input_, output_;
};

TEST(Foreground, EndsWithTheStatusOfTheProcess) {
  EXPECT_EQ(Runtime([] { return run_in_foreground("exit 7"); }).exit_code(), 7);
  EXPECT_EQ(Runtime([] { return run_in_foreground("exit 0"); }).exit_code(), 0);
}

TEST(Foreground, EndsWith128AndTheSignalThatKilled) {
  EXPECT_EQ(Runtime([] { return run_in_foreground("kill -9 $$"); }).exit_code(), 128 + 9);
}

TEST(Foreground, PassesSignalsOn) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGTSTP, SIGRTMIN + 3}) {
    Runtime runtime([signal] {
      return run_in_foreground(
          join("trap 'exit 5' ", signal, "; echo up; while :; do sleep 0.01; done"));
    });
    ASSERT_THAT(runtime.read_until("up\n"), HasSubstr("up"));
    ASSERT_EQ(::kill(runtime.pid(), signal), 0);
    EXPECT_EQ(runtime.exit_code(), 5) << "signal " << signal;
  }
}

TEST(Foreground, KeepsASignalThatCameBeforeTheProcess) {
  Runtime runtime([] {
    Result<Foreground> foreground = Foreground::prepare(Subreaper::kYes);
    ::raise(SIGTERM);
    const pid_t child = ::fork();
    if (child == 0) {
      reset_signals();
      ::pause();
      ::_exit(0);
    }
    return foreground.value().wait_and_forward(child).value_or(kNoResult);
  });
  EXPECT_EQ(runtime.exit_code(), 128 + SIGTERM);
}

TEST(Foreground, AdoptsTheProcessWhenItsMakerEnds) {
  Runtime runtime([] {
    Result<Foreground> foreground = Foreground::prepare(Subreaper::kYes);
    auto [reader, writer] = sys::pipe().value();
    if (::fork() == 0) {
      const pid_t grandchild = ::fork();
      if (grandchild == 0) {
        ::usleep(200000);
        ::_exit(6);
      }
      static_cast<void>(::write(writer.get(), &grandchild, sizeof grandchild) > 0);
      ::_exit(0);
    }
    pid_t pid = 0;
    if (::read(reader.get(), &pid, sizeof pid) != sizeof pid) return kNoResult;
    return foreground.value().wait_and_forward(pid).value_or(kNoResult);
  });
  EXPECT_EQ(runtime.exit_code(), 6);
}

TEST(Foreground, RefusesAProcessThatIsNotItsOwn) {
  Runtime runtime([] {
    Result<Foreground> foreground = Foreground::prepare(Subreaper::kNo);
    const Result<int> code = foreground.value().wait_and_forward(::getppid());
    return !code.ok() && code.error().code() == ECHILD ? 0 : 1;
  });
  EXPECT_EQ(runtime.exit_code(), 0);
}

TEST(Foreground, LeavesTheSignalMaskAsItWas) {
  Runtime runtime([] {
    sigset_t before;
    sigset_t after_it;
    ::sigprocmask(SIG_BLOCK, nullptr, &before);
    { const Result<Foreground> foreground = Foreground::prepare(Subreaper::kNo); }
    ::sigprocmask(SIG_BLOCK, nullptr, &after_it);
    return sigismember(&before, SIGTERM) == sigismember(&after_it, SIGTERM) ? 0 : 1;
  });
  EXPECT_EQ(runtime.exit_code(), 0);
}

TEST(Relay, CopiesBothWays) {
  Runtime runtime(
      [] { return run_with_console("stty -echo; echo up; read x; echo got $x; exit 3"); });
  ASSERT_THAT(runtime.read_until("up"), HasSubstr("up"));
  runtime.type("hello\n");
  EXPECT_THAT(runtime.read_until("got hello"), HasSubstr("got hello"));
  EXPECT_EQ(runtime.exit_code(), 3);
}

TEST(Relay, LosesNothingOfALongOutput) {
  Runtime runtime([] { return run_with_console("stty -onlcr; seq 1 100000; printf END"); });
  std::string expected;
  for (int i = 1; i <= 100000; ++i) expected += std::to_string(i) + "\n";
  EXPECT_EQ(runtime.read_until("END"), expected + "END");
  EXPECT_EQ(runtime.exit_code(), 0);
}

TEST(Relay, EndsTheInputOfAProgramThatReadsLines) {
  for (const std::string input : {"", "line\n", "no newline"}) {
    Runtime runtime([] { return run_with_console("stty -echo; echo up; cat; exit 4"); });
    ASSERT_THAT(runtime.read_until("up"), HasSubstr("up"));
    if (!input.empty()) runtime.type(input);
    runtime.end_input();
    EXPECT_EQ(runtime.exit_code(), 4) << "input '" << input << "'";
  }
}

TEST(Relay, SurvivesAProcessThatClosesAndReopensItsTerminal) {
  Runtime runtime([] {
    return run_with_console("t=$(tty); exec <&- >&- 2>&-; sleep 0.2; exec >$t; echo again; exit 2");
  });
  EXPECT_THAT(runtime.read_until("again"), HasSubstr("again"));
  EXPECT_EQ(runtime.exit_code(), 2);
}

TEST(Relay, IdlesWithoutAnyoneOnTheTerminal) {
  Runtime runtime([] { return run_with_console("echo up; exec <&- >&- 2>&-; exec sleep 1"); });
  ASSERT_THAT(runtime.read_until("up"), HasSubstr("up"));
  ::usleep(700000);
  const std::string stat = sys::read_file(join("/proc/", runtime.pid(), "/stat")).value_or("");
  // Fields 14 and 15, counted behind the name's parenthesis: clock ticks of 10 ms.
  unsigned long user = 0;
  unsigned long kernel = 0;
  ASSERT_EQ(std::sscanf(stat.substr(stat.rfind(')')).c_str(),
                        ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel),
            2);
  EXPECT_LT(user + kernel, 20U) << "a busy loop";
  EXPECT_EQ(runtime.exit_code(), 0);
}

TEST(Relay, DropsOutputThatNobodyReads) {
  Runtime runtime([] { return run_with_console("read x; seq 1 20000; exit 1"); });
  runtime.close_output();
  runtime.type("go\n");
  EXPECT_EQ(runtime.exit_code(), 1);
}

TEST(Relay, CanBeEndedThoughItsReaderHasStopped) {
  Runtime runtime([] { return run_with_console("seq 1 50000 & sleep 0.3; exit 0"); });
  ::usleep(600000);  // the pipe to us is full, the process has ended
  ASSERT_EQ(::kill(runtime.pid(), SIGTERM), 0);
  EXPECT_EQ(runtime.exit_code(), 0);
}

class OwnTerminal : public ::testing::Test {
 protected:
  bool is_raw() const {
    struct termios mode {};
    ::tcgetattr(terminal_.slave.get(), &mode);
    return (mode.c_lflag & (ICANON | ISIG | ECHO)) == 0;
  }
  void type(const std::string& text) {
    ASSERT_TRUE(sys::write_all(terminal_.master.get(), text).ok());
  }
  std::string read_until(const std::string& wanted) {
    return Runtime::read_from(terminal_.master.get(), wanted);
  }
  Console terminal_ = open_console().value();
};

TEST_F(OwnTerminal, IsRawMeanwhileAndRestored) {
  ASSERT_FALSE(is_raw());
  Runtime runtime([] { return run_with_console("stty -echo; echo up; read x; exit 3"); },
                  &terminal_);
  ASSERT_THAT(read_until("up"), HasSubstr("up"));
  EXPECT_TRUE(is_raw());
  type("\n");
  EXPECT_EQ(runtime.exit_code(), 3);
  EXPECT_FALSE(is_raw());
}

TEST_F(OwnTerminal, IsRestoredAfterASignal) {
  Runtime runtime([] { return run_with_console("echo up; exec sleep 60"); }, &terminal_);
  ASSERT_THAT(read_until("up"), HasSubstr("up"));
  ASSERT_EQ(::kill(runtime.pid(), SIGTERM), 0);
  EXPECT_EQ(runtime.exit_code(), 128 + SIGTERM);
  EXPECT_FALSE(is_raw());
}

TEST_F(OwnTerminal, GivesTheInterruptKeyToTheProcess) {
  Runtime runtime(
      [] { return run_with_console("trap 'exit 9' INT; echo up; while :; do sleep 0.01; done"); },
      &terminal_);
  ASSERT_THAT(read_until("up"), HasSubstr("up"));
  type("\x03");
  EXPECT_EQ(runtime.exit_code(), 9);
}

TEST_F(OwnTerminal, PassesItsSizeOnAtTheStartAndWhenItChanges) {
  ASSERT_TRUE(set_console_size(terminal_.master.get(), {30, 100}).ok());
  Runtime runtime(
      [] {
        return run_with_console(
            "trap 'stty size; exit 0' WINCH; stty size; echo up; while :; do sleep 0.01; done");
      },
      &terminal_);
  EXPECT_THAT(read_until("up"), HasSubstr("30 100"));
  ASSERT_TRUE(set_console_size(terminal_.master.get(), {40, 120}).ok());
  EXPECT_THAT(read_until("40 120"), HasSubstr("40 120"));
  EXPECT_EQ(runtime.exit_code(), 0);
}

}  // namespace
}  // namespace sysbox::runc

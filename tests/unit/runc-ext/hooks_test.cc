#include "runc-ext/container/hooks.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <sstream>

#include "common/syscalls.h"
#include "tests/unit/runc-ext/scratch_directory.h"

namespace sysbox::runc {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

OciHook shell(const std::string& script) { return {"/bin/sh", {"sh", "-c", script}, {}, {}}; }

OciState state() {
  OciState out;
  out.oci_version = "1.2.0";
  out.id = "box";
  out.status = "creating";
  out.pid = 42;
  out.bundle = "/bundle";
  return out;
}

std::string content(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Hooks, GetTheStateOnStandardInput) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(
      run_hooks({shell("cat > " + scratch / "out")}, state(), "prestart", HookPlace{}).ok());
  EXPECT_EQ(content(scratch / "out"), state_for_hooks(state()));
}

TEST(Hooks, GetExactlyTheirOwnEnvironmentAndArguments) {
  const ScratchDirectory scratch;
  ::setenv("SYSBOX_LEAK", "1", 1);
  OciHook hook{"/usr/bin/env", {"any", "sh", "-c", "env > " + scratch / "out"}, {}, {}};
  hook.env = {"A=1", "PATH=/usr/bin:/bin"};
  ASSERT_TRUE(run_hooks({hook}, state(), "prestart", HookPlace{}).ok());
  ::unsetenv("SYSBOX_LEAK");
  const std::string env = content(scratch / "out");
  EXPECT_THAT(env, HasSubstr("A=1\n"));
  EXPECT_THAT(env, ::testing::Not(HasSubstr("SYSBOX_LEAK")));
}

TEST(Hooks, InheritNoDescriptorBeyondTheStandardOnes) {
  const ScratchDirectory scratch;
  const int leak = ::open("/dev/null", O_RDONLY);  // not close-on-exec
  // The listing shell has its script's own descriptors only: ls opens one for the directory.
  ASSERT_TRUE(run_hooks({shell("exec ls /proc/self/fd > " + scratch / "out")}, state(), "prestart",
                        HookPlace{})
                  .ok());
  ::close(leak);
  EXPECT_EQ(content(scratch / "out"), "0\n1\n2\n3\n");
}

TEST(Hooks, StartWithDefaultSignalHandling) {
  const ScratchDirectory scratch;
  struct sigaction before {};
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGUSR1, &ignore, &before);
  sigset_t blocked;
  sigset_t old_mask;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  ::sigprocmask(SIG_BLOCK, &blocked, &old_mask);
  const auto done =
      run_hooks({shell("exec grep -E '^Sig(Blk|Ign):' /proc/self/status > " + scratch / "out")},
                state(), "prestart", HookPlace{});
  ::sigprocmask(SIG_SETMASK, &old_mask, nullptr);
  ::sigaction(SIGUSR1, &before, nullptr);
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(content(scratch / "out"), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST(Hooks, ThatIgnoreALargeStateDoNotFail) {
  OciState large = state();
  large.annotations["big"] = std::string(300000, 'x');  // more than a pipe holds
  EXPECT_TRUE(run_hooks({shell("exit 0")}, large, "prestart", HookPlace{}).ok());
}

TEST(Hooks, ThatFailAreNamedWithTheirLastWords) {
  const auto done =
      run_hooks({shell("exit 0"), shell("echo first; echo '  why' >&2; echo; exit 3")}, state(),
                "createRuntime", HookPlace{});
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().message(),
            "error running createRuntime hook #1: /bin/sh: exit status 3:   why");
}

TEST(Hooks, AfterOneThatFailedAreNotRun) {
  const ScratchDirectory scratch;
  EXPECT_FALSE(run_hooks({shell("exit 1"), shell("touch " + scratch / "out")}, state(), "prestart",
                         HookPlace{})
                   .ok());
  EXPECT_FALSE(std::filesystem::exists(scratch / "out"));
}

TEST(Hooks, AllRunEvenAfterOneThatFailed) {
  const ScratchDirectory scratch;
  const std::vector<Error> failed =
      run_all_hooks({shell("exit 1"), shell("touch " + scratch / "out"), shell("kill -9 $$")},
                    state(), "poststop", HookPlace{});
  EXPECT_TRUE(std::filesystem::exists(scratch / "out"));
  ASSERT_THAT(failed, SizeIs(2));
  EXPECT_THAT(failed[0].message(), EndsWith("hook #0: /bin/sh: exit status 1"));
  EXPECT_THAT(failed[1].message(), EndsWith("hook #2: /bin/sh: killed by signal 9"));
}

TEST(Hooks, ThatCannotBeRunSayWhy) {
  const auto missing =
      run_hooks({{"/does/not/exist", {}, {}, {}}}, state(), "prestart", HookPlace{});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code(), ENOENT);
  EXPECT_THAT(missing.error().message(), HasSubstr("/does/not/exist: cannot be run: No such"));
  const auto directory = run_hooks({{"/", {}, {}, {}}}, state(), "prestart", HookPlace{});
  EXPECT_EQ(directory.error().code(), EACCES);
}

TEST(Hooks, ThatOutlastTheirTimeoutAreKilledWithTheirChildren) {
  const ScratchDirectory scratch;
  OciHook hook = shell("sleep 61 & echo $! > " + scratch / "pid" + "; wait");
  hook.timeout_seconds = 1;
  const auto begin = std::chrono::steady_clock::now();
  const auto done = run_hooks({hook}, state(), "prestart", HookPlace{});
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code(), ETIMEDOUT);
  EXPECT_THAT(done.error().message(), EndsWith("killed after its timeout of 1 s"));
  const pid_t child = std::stoi(content(scratch / "pid"));
  // Dead, if perhaps not yet reaped by whoever adopted it.
  for (int i = 0; i < 100 && ::kill(child, 0) == 0; ++i) {
    if (sys::read_file(join("/proc/", child, "/stat")).value_or("Z").find(" Z ") !=
        std::string::npos)
      break;
    ::usleep(10000);
  }
  const std::string stat = sys::read_file(join("/proc/", child, "/stat")).value_or(" Z ");
  EXPECT_THAT(stat, HasSubstr(" Z "));
}

TEST(Hooks, ThatLeaveAChildBehindAreNotWaitedForLonger) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(run_hooks({shell("sleep 5 & exit 0")}, state(), "prestart", HookPlace{}).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(4));
}

TEST(Hooks, ThatSayALotDoNotBlock) {
  const auto done =
      run_hooks({shell("head -c 1000000 /dev/zero | tr '\\0' 'x'; echo; echo end; exit 1")},
                state(), "prestart", HookPlace{});
  ASSERT_FALSE(done.ok());
  EXPECT_THAT(done.error().message(), EndsWith("exit status 1: end"));
}

TEST(Hooks, LeakNothing) {
  const auto open_fds = [] {
    const std::filesystem::directory_iterator fds("/proc/self/fd");
    return std::distance(begin(fds), end(fds));
  };
  const auto before = open_fds();
  EXPECT_TRUE(run_hooks({shell("exit 0")}, state(), "prestart", HookPlace{}).ok());
  EXPECT_FALSE(run_hooks({shell("exit 1")}, state(), "prestart", HookPlace{}).ok());
  EXPECT_FALSE(run_hooks({{"/nothing", {}, {}, {}}}, state(), "prestart", HookPlace{}).ok());
  EXPECT_EQ(open_fds(), before);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

}  // namespace
}  // namespace sysbox::runc

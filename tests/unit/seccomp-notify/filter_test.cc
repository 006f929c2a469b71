#include "seccomp-notify/filter.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/message_socket.h"
#include "seccomp-notify/dispatch.h"
#include "seccomp-notify/notify_kernel.h"

namespace sysbox::testing {
namespace {

using namespace std::chrono_literals;

// Runs `call` in a child under the filter, and tells what the listener got: the number of the
// trapped call, or nothing. The kernel is told to fail a trapped call with EXDEV, which the
// child checks.
std::optional<seccomp::Notification> trapped(const std::function<long()>& call) {
  auto [ours, theirs] = sys::socketpair(SOCK_STREAM).value();
  const pid_t child = ::fork();
  if (child == 0) {
    ours.reset();
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(90);
    Result<UniqueFd> loaded = seccomp::load_notify_filter();
    if (!loaded.ok()) ::_exit(91);
    UniqueFd listener = std::move(loaded).value();
    const int fd = listener.get();
    MessageSocket socket(std::move(theirs));
    if (!socket.send("{}", {&fd, 1}, after(5s)).ok()) ::_exit(92);
    listener.reset();
    errno = 0;
    const long rc = call();
    ::_exit(rc < 0 && errno == EXDEV ? 1 : 0);
  }
  theirs.reset();
  MessageSocket socket(std::move(ours));
  const Result<Message> message = socket.receive(after(5s));
  std::optional<seccomp::Notification> seen;
  const auto kernel = seccomp::open_notify_kernel();
  if (message.ok() && kernel.ok()) {
    const int listener = message.value().fds.at(0).get();
    struct pollfd ready {
      listener, POLLIN, 0
    };
    if (::poll(&ready, 1, 5000) == 1 && (ready.revents & POLLIN) != 0) {
      std::array<std::byte, 128> raw{};
      const Result<seccomp::Notification> call_seen = kernel.value()->receive(listener, raw);
      EXPECT_TRUE(call_seen.ok());
      seen = call_seen.value();
      EXPECT_TRUE(kernel.value()->is_waiting(listener, seen->id));
      EXPECT_TRUE(kernel.value()->answer(listener, seen->id, seccomp::FailWith{EXDEV}).ok());
      EXPECT_FALSE(kernel.value()->is_waiting(listener, seen->id));
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), seen ? 1 : 0) << "the filter was not loaded, or no answer came";
  return seen;
}

struct MountFlags {
  const char* name;
  unsigned long flags;
  bool is_trapped;
};

class MountFilter : public ::testing::TestWithParam<MountFlags> {};

TEST_P(MountFilter, TrapsWhatNeedsHelp) {
  const auto seen =
      trapped([] { return ::mount("none", "/nowhere", "none", GetParam().flags, nullptr); });
  EXPECT_EQ(seen.has_value(), GetParam().is_trapped);
  if (!seen) return;
  EXPECT_EQ(seen->number, SYS_mount);
  EXPECT_EQ(seen->arguments[3], GetParam().flags);
  EXPECT_EQ(seccomp::find_trapped_call(seen->architecture, seen->number),
            seccomp::TrappedCall::kMount);
}

constexpr unsigned long kOldMagic = 0xC0ED0000;

INSTANTIATE_TEST_SUITE_P(
    All, MountFilter,
    ::testing::Values(MountFlags{"NewMount", 0, true},
                      MountFlags{"NewReadOnlyMount", MS_RDONLY, true},
                      MountFlags{"NewMountWithOldMagic", kOldMagic | MS_NOSUID, true},
                      MountFlags{"Bind", MS_BIND, true},
                      MountFlags{"BindWithOldMagic", kOldMagic | MS_BIND, true},
                      MountFlags{"RecursiveBind", MS_BIND | MS_REC, false},
                      MountFlags{"BindRemount", MS_BIND | MS_REMOUNT | MS_RDONLY, true},
                      MountFlags{"RecursiveBindRemount", MS_BIND | MS_REMOUNT | MS_REC, true},
                      MountFlags{"Remount", MS_REMOUNT, true}, MountFlags{"Move", MS_MOVE, false},
                      MountFlags{"Private", MS_PRIVATE, false},
                      MountFlags{"Shared", MS_SHARED | MS_REC, false},
                      MountFlags{"Slave", MS_SLAVE | MS_REC, false},
                      MountFlags{"Unbindable", MS_UNBINDABLE, false}),
    [](const auto& row) { return row.param.name; });

TEST(UmountFilter, TrapsPlainUmountsOnly) {
  EXPECT_TRUE(trapped([] { return ::umount2("/nowhere", 0); }));
  EXPECT_TRUE(trapped([] { return ::umount2("/nowhere", UMOUNT_NOFOLLOW); }));
  EXPECT_FALSE(trapped([] { return ::umount2("/nowhere", MNT_DETACH); }));
}

TEST(NotifyFilter, CountsCpus) {
  cpu_set_t set;
  EXPECT_TRUE(trapped([&] { return ::sched_getaffinity(0, sizeof set, &set); }));
}

TEST(NotifyFilter, LeavesOtherCallsAlone) {
  EXPECT_FALSE(trapped([] { return ::getppid() > 0 ? 0L : -1L; }));
}

#if defined(__x86_64__)
TEST(NotifyFilter, TrapsX32Calls) {
  const auto seen =
      trapped([] { return ::syscall(0x40000000 + SYS_mount, "n", "/nowhere", "n", 0UL, nullptr); });
  ASSERT_TRUE(seen);
  EXPECT_EQ(seccomp::find_trapped_call(seen->architecture, seen->number),
            seccomp::TrappedCall::kMount);
}

long i386_call(long number, long first, long second) {
  long rc = number;
  __asm__ volatile("int $0x80"
                   : "+a"(rc)
                   : "b"(first), "c"(second)
                   : "memory", "r8", "r9", "r10", "r11");
  if (rc < 0) {
    errno = static_cast<int>(-rc);
    return -1;
  }
  return rc;
}

// In a child, as it may die of it.
bool kernel_knows_32bit_calls() {
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr long kGetpid = 20;
    ::_exit(i386_call(kGetpid, 0, 0) == ::getpid() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status == 0;
}

TEST(NotifyFilter, Traps32BitCalls) {
  if (!kernel_knows_32bit_calls()) GTEST_SKIP() << "no 32-bit system calls here";
  constexpr long kUmount = 22;
  constexpr long kUmount2 = 52;
  const auto old_umount = trapped([] { return i386_call(kUmount, 0, 0); });
  ASSERT_TRUE(old_umount);
  EXPECT_EQ(seccomp::find_trapped_call(old_umount->architecture, old_umount->number),
            seccomp::TrappedCall::kOldUmount);
  const auto umount2 = trapped([] { return i386_call(kUmount2, 0, 0); });
  ASSERT_TRUE(umount2);
  EXPECT_EQ(seccomp::find_trapped_call(umount2->architecture, umount2->number),
            seccomp::TrappedCall::kUmount);
}

TEST(TrappedCalls, AreKnownByArchitecture) {
  EXPECT_EQ(seccomp::find_trapped_call(AUDIT_ARCH_I386, 21), seccomp::TrappedCall::kMount);
  EXPECT_EQ(seccomp::find_trapped_call(AUDIT_ARCH_X86_64, 21), std::nullopt);  // access(2)
}
#endif

TEST(NotifyFilter, DoesNotSetNoNewPrivs) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root";
  const pid_t child = ::fork();
  if (child == 0) {
    const bool loaded = seccomp::load_notify_filter().ok();
    ::_exit(loaded && ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(NotifyFilter, IsRefusedASecondTime) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const Result<UniqueFd> first = seccomp::load_notify_filter();
    const Result<UniqueFd> second = seccomp::load_notify_filter();
    ::_exit(first.ok() && !second.ok() && second.error().code() == EBUSY ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace sysbox::testing

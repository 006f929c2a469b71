#include "runc-ext/init/door_filter.h"

#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>

#include "runc-ext/system_container/seccomp_doors.h"

namespace sysbox::runc {
namespace {

// The errno of a call in a child that has the filter; 0 if it went well.
int error_behind_filter(const std::vector<std::string>& open_doors,
                        const std::function<long()>& call) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!load_door_filter(open_doors).ok()) ::_exit(255);
    ::_exit(call() >= 0 ? 0 : errno);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

long make_socket(long family) { return ::syscall(SYS_socket, family, SOCK_DGRAM, 0); }

TEST(DoorFilter, RefusesClosedFamiliesOnly) {
  for (const int family : {AF_ALG, AF_RXRPC, AF_VSOCK, AF_TIPC, AF_BLUETOOTH, AF_AX25}) {
    EXPECT_EQ(error_behind_filter({}, [=] { return make_socket(family); }), EAFNOSUPPORT) << family;
  }
  for (const int family : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET}) {
    EXPECT_EQ(error_behind_filter({}, [=] { return make_socket(family); }),
              error_behind_filter({"af-alg", "af-rare"}, [=] { return make_socket(family); }))
        << family;
  }
  EXPECT_EQ(error_behind_filter({}, [] { return make_socket(AF_UNIX); }), 0);
}

// The kernel takes the family as an int, so what stands in the upper half must not matter.
TEST(DoorFilter, IsNotFooledByTheUpperHalf) {
  EXPECT_EQ(error_behind_filter({}, [] { return make_socket((1L << 32) | AF_ALG); }), EAFNOSUPPORT);
}

TEST(DoorFilter, AnOpenDoorIsTheKernelsAlone) {
  // EPROTONOSUPPORT or EAFNOSUPPORT may be the kernel's own answer, but not the same for SEQPACKET.
  const auto alg = [] { return ::syscall(SYS_socket, AF_ALG, SOCK_SEQPACKET, 0); };
  const long unfiltered = alg() >= 0 ? 0 : errno;
  EXPECT_EQ(error_behind_filter({"af-alg"}, alg), unfiltered);
  EXPECT_EQ(error_behind_filter({"af-alg"}, [] { return make_socket(AF_VSOCK); }), EAFNOSUPPORT)
      << "the other doors stay shut";
}

TEST(DoorFilter, FaultsOfTheKernelCannotBeHeldUp) {
  EXPECT_EQ(error_behind_filter({}, [] { return ::syscall(SYS_userfaultfd, 0); }), EPERM);
  const auto user_only = [] { return ::syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY); };
  const long unfiltered = user_only() >= 0 ? 0 : errno;
  EXPECT_EQ(error_behind_filter({}, user_only), unfiltered);
}

TEST(DoorFilter, ShowsAnEmptyKernelLog) {
  std::array<char, 16> buffer{};
  const auto ask = [&buffer](long action) {
    return error_behind_filter({}, [&buffer, action] {
      const long rc = ::syscall(SYS_syslog, action, buffer.data(), buffer.size());
      return rc > 0 ? ::_exit(200), 0L : rc;
    });
  };
  for (const long action : {3L, 4L, 5L, 8L, 9L, 10L}) EXPECT_EQ(ask(action), 0) << action;
  EXPECT_EQ(ask(2), EPERM);  // would wait for ever
  const auto unknown = [] { return ::syscall(SYS_syslog, 99, nullptr, 0); };
  const long unfiltered = unknown() >= 0 ? 0 : errno;
  EXPECT_EQ(error_behind_filter({}, unknown), unfiltered);
  const auto read_all = [&buffer] { return ::syscall(SYS_syslog, 3, buffer.data(), 0); };
  const long unfiltered_read = read_all() >= 0 ? 0 : errno;
  EXPECT_EQ(error_behind_filter({"kernel-log"}, read_all), unfiltered_read);
}

#if defined(__x86_64__)
// 32-bit programs: the same calls by other numbers, and the one entry that hides them all.
TEST(DoorFilter, HoldsFor32BitCalls) {
  const auto call_i386 = [](long number, long first) {
    long result = number;
    asm volatile("int $0x80" : "+a"(result) : "b"(first), "c"(SOCK_DGRAM), "d"(0) : "memory");
    return result;
  };
  if (call_i386(20 /* getpid */, 0) != ::getpid()) GTEST_SKIP() << "no 32-bit system calls here";
  const auto errno_of = [&call_i386](long number, long first) {
    return error_behind_filter({}, [=] {
      const long result = call_i386(number, first);
      errno = static_cast<int>(-result);
      return result;
    });
  };
  EXPECT_EQ(errno_of(359 /* socket */, AF_ALG), EAFNOSUPPORT);
  EXPECT_EQ(errno_of(359, AF_UNIX), 0);
  EXPECT_EQ(errno_of(102 /* socketcall */, 1), ENOSYS);
}
#endif

// The engine's own profile.

OciSeccomp profile_of(std::vector<OciSeccompRule> rules) {
  OciSeccomp profile;
  profile.default_action = "SCMP_ACT_ERRNO";
  profile.rules = std::move(rules);
  return profile;
}

TEST(SeccompDoors, OpenOnesAreAllowedByTheProfileToo) {
  OciSeccompRule not_vsock;
  not_vsock.names = {"socket"};
  not_vsock.action = "SCMP_ACT_ALLOW";
  not_vsock.args = {{0, AF_VSOCK, 0, "SCMP_CMP_NE"}};
  OciSeccomp profile = profile_of({not_vsock});
  open_doors_in_profile(profile, {"af-vsock", "io-uring"});
  ASSERT_EQ(profile.rules.size(), 1U);
  EXPECT_TRUE(profile.rules[0].args.empty());
  EXPECT_EQ(profile.rules[0].names,
            (std::vector<std::string>{"socket", "socketpair", "io_uring_setup", "io_uring_enter",
                                      "io_uring_register"}));
}

TEST(SeccompDoors, WithoutAnOpenOneTheProfileStays) {
  OciSeccompRule denied;
  denied.names = {"socketcall"};
  denied.action = "SCMP_ACT_ERRNO";
  OciSeccomp profile = profile_of({denied});
  open_doors_in_profile(profile, {});
  ASSERT_EQ(profile.rules.size(), 1U);
  EXPECT_EQ(profile.rules[0].names, std::vector<std::string>{"socketcall"});
}

}  // namespace
}  // namespace sysbox::runc

#include "runc-ext/init/static_seccomp.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/unistd.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGSYS
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "runc-ext/init/seccomp_prologue.h"

namespace sysbox::runc {
namespace {

constexpr long kNoSuchCall = 1000;

OciSeccomp allow_all_but(std::vector<std::string> names, const std::string& action,
                         std::optional<std::uint32_t> errno_ret = {}) {
  OciSeccomp profile;
  profile.default_action = "SCMP_ACT_ALLOW";
  profile.rules = {{std::move(names), action, errno_ret, {}}};
  return profile;
}

// Allows what the child of a test needs, also with a sanitizer, and "openat2", number 437.
OciSeccomp deny_all(const std::string& action, std::optional<std::uint32_t> errno_ret = {}) {
  OciSeccomp profile;
  profile.default_action = action;
  profile.default_errno_ret = errno_ret;
  profile.rules = {{{"exit_group", "exit", "write", "openat2", "no_such_call", "brk", "futex",
                     "madvise", "mmap", "mprotect", "munmap", "sigaltstack"},
                    "SCMP_ACT_ALLOW",
                    {},
                    {}}};
  return profile;
}

// What becomes of `call` in a child under the profile: "ok", the errno's name, or the signal.
std::string outcome(const OciSeccomp& profile, const std::function<long()>& call) {
  const pid_t child = ::fork();
  if (child == 0) {
    const struct rlimit no_core {};
    ::setrlimit(RLIMIT_CORE, &no_core);
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(200);
    if (!load_seccomp_profile(profile).ok()) ::_exit(201);
    const long result = call();
    ::_exit(result >= 0 ? 0 : errno);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return join("signal ", WTERMSIG(status));
  if (WEXITSTATUS(status) == 201) return "not loaded";
  return WEXITSTATUS(status) == 0 ? "ok" : strerrorname_np(WEXITSTATUS(status));
}

long make_directory() { return ::syscall(SYS_mkdirat, -1, "", 0); }
long no_such_call() { return ::syscall(kNoSuchCall, 1, 2, 3); }

const std::string kKilled = join("signal ", SIGSYS);

TEST(SeccompProfile, EachActionHasItsOutcome) {
  const std::vector<std::string> names = {"mkdirat"};
  EXPECT_EQ(outcome(allow_all_but(names, "SCMP_ACT_ERRNO"), make_directory), "EPERM");
  EXPECT_EQ(outcome(allow_all_but(names, "SCMP_ACT_ERRNO", ENETDOWN), make_directory), "ENETDOWN");
  EXPECT_EQ(outcome(allow_all_but(names, "SCMP_ACT_KILL"), make_directory), kKilled);
  EXPECT_EQ(outcome(allow_all_but(names, "SCMP_ACT_KILL_THREAD"), make_directory), kKilled);
  EXPECT_EQ(outcome(allow_all_but(names, "SCMP_ACT_KILL_PROCESS"), make_directory), kKilled);
  EXPECT_EQ(outcome(allow_all_but(names, "SCMP_ACT_TRAP"), make_directory), kKilled);
  // Nobody traces the child.
  EXPECT_EQ(outcome(allow_all_but(names, "SCMP_ACT_TRACE", 7), make_directory), "ENOSYS");
  EXPECT_EQ(outcome(allow_all_but(names, "SCMP_ACT_LOG"), make_directory), "ENOENT");
  EXPECT_EQ(outcome(allow_all_but({"no_such_call"}, "SCMP_ACT_ERRNO"), make_directory), "ENOENT");
}

TEST(SeccompProfile, ACallYoungerThanTheProfileIsUnknownWhateverTheDefault) {
  EXPECT_EQ(outcome(deny_all("SCMP_ACT_ERRNO"), no_such_call), "ENOSYS");
  EXPECT_EQ(outcome(deny_all("SCMP_ACT_ERRNO", ENXIO), no_such_call), "ENOSYS");
  EXPECT_EQ(outcome(deny_all("SCMP_ACT_KILL_PROCESS"), no_such_call), "ENOSYS");
  EXPECT_EQ(outcome(deny_all("SCMP_ACT_TRAP"), no_such_call), "ENOSYS");
  EXPECT_EQ(outcome(deny_all("SCMP_ACT_ERRNO"), make_directory), "EPERM");
  EXPECT_EQ(outcome(deny_all("SCMP_ACT_ERRNO", ENXIO), make_directory), "ENXIO");
  EXPECT_EQ(outcome(deny_all("SCMP_ACT_KILL_PROCESS"), make_directory), kKilled);
  EXPECT_TRUE(seccomp_prologue(allow_all_but({"mkdir"}, "SCMP_ACT_ERRNO")).empty());
}

TEST(SeccompProfile, ACallThatIsAllowedByNameIsAllowedWhenLibseccompDoesNotKnowIt) {
  const auto list_modules = [] { return ::syscall(461, nullptr, nullptr, 1); };
  if (list_modules() < 0 && errno == ENOSYS) GTEST_SKIP() << "a kernel without lsm_list_modules";
  OciSeccomp profile = deny_all("SCMP_ACT_ERRNO");
  EXPECT_EQ(outcome(profile, list_modules), "ENOSYS");
  profile.rules[0].names.emplace_back("lsm_list_modules");
  EXPECT_EQ(outcome(profile, list_modules), "EINVAL");  // the kernel's answer to these arguments
  EXPECT_EQ(outcome(profile, no_such_call), "ENOSYS");
}

struct Comparison {
  const char* op;
  std::uint64_t value;
  std::uint64_t value_two;
  std::uint64_t argument;
  bool holds;
};
class SeccompArgument : public testing::TestWithParam<Comparison> {};

TEST_P(SeccompArgument, IsCompared) {
  const Comparison& row = GetParam();
  OciSeccomp profile = allow_all_but({"close"}, "SCMP_ACT_ERRNO", ENETDOWN);
  profile.rules[0].args = {{0, row.value, row.value_two, row.op}};
  const auto close_it = [&row] { return ::syscall(SYS_close, row.argument); };
  EXPECT_EQ(outcome(profile, close_it), row.holds ? "ENETDOWN" : "EBADF");
}

INSTANTIATE_TEST_SUITE_P(
    Operators, SeccompArgument,
    testing::Values(
        Comparison{"SCMP_CMP_EQ", 900, 0, 900, true}, Comparison{"SCMP_CMP_EQ", 900, 0, 901, false},
        Comparison{"SCMP_CMP_NE", 900, 0, 901, true}, Comparison{"SCMP_CMP_NE", 900, 0, 900, false},
        Comparison{"SCMP_CMP_LT", 900, 0, 899, true}, Comparison{"SCMP_CMP_LT", 900, 0, 900, false},
        Comparison{"SCMP_CMP_LE", 900, 0, 900, true}, Comparison{"SCMP_CMP_LE", 900, 0, 901, false},
        Comparison{"SCMP_CMP_GE", 900, 0, 900, true}, Comparison{"SCMP_CMP_GE", 900, 0, 899, false},
        Comparison{"SCMP_CMP_GT", 900, 0, 901, true}, Comparison{"SCMP_CMP_GT", 900, 0, 900, false},
        Comparison{"SCMP_CMP_GT", 0xffffffffULL, 0, 0x100000000ULL, true},
        Comparison{"SCMP_CMP_MASKED_EQ", 0xff0, 0x380, 0x38f, true},
        Comparison{"SCMP_CMP_MASKED_EQ", 0xff0, 0x380, 0x39f, false}));

TEST(SeccompProfile, ArgumentsOfOneRuleAreAllNeededAndThoseOfOneArgumentAreAlternatives) {
  OciSeccomp profile = allow_all_but({"dup3"}, "SCMP_ACT_ERRNO", ENETDOWN);
  const auto dup = [](int from, int flags) {
    return [from, flags] { return ::syscall(SYS_dup3, from, 901, flags); };
  };
  profile.rules[0].args = {{0, 900, 0, "SCMP_CMP_EQ"}, {2, 7, 0, "SCMP_CMP_EQ"}};
  EXPECT_EQ(outcome(profile, dup(900, 7)), "ENETDOWN");
  EXPECT_NE(outcome(profile, dup(900, 0)), "ENETDOWN");
  EXPECT_NE(outcome(profile, dup(901, 7)), "ENETDOWN");
  profile.rules[0].args = {{0, 900, 0, "SCMP_CMP_EQ"}, {0, 902, 0, "SCMP_CMP_EQ"}};
  EXPECT_EQ(outcome(profile, dup(900, 0)), "ENETDOWN");
  EXPECT_EQ(outcome(profile, dup(902, 0)), "ENETDOWN");
  EXPECT_NE(outcome(profile, dup(903, 0)), "ENETDOWN");
}

TEST(SeccompProfile, FlagsOfListenersAreRefusedTheOthersTaken) {
  OciSeccomp profile = allow_all_but({"mkdirat"}, "SCMP_ACT_ERRNO");
  profile.flags = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                   "SECCOMP_FILTER_FLAG_TSYNC"};
  EXPECT_EQ(outcome(profile, make_directory), "EPERM");
  profile.flags = {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
  const Result<UniqueFd> loaded = load_seccomp_profile(profile);
  ASSERT_FALSE(loaded.ok());
  EXPECT_THAT(loaded.error().message(), testing::HasSubstr("WAIT_KILLABLE_RECV"));
}

#ifdef __x86_64__
// The 32-bit entry of the same process.
long call_32_bit(long number) {
  long result = 0;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(-1), "c"(0), "d"(0) : "memory");
  if (result >= 0) return result;
  errno = static_cast<int>(-result);
  return -1;
}

TEST(SeccompProfile, EveryArchitectureHasItsOwnNumbers) {
  if (call_32_bit(20 /* getpid */) != ::getpid()) GTEST_SKIP() << "no 32-bit system calls here";
  constexpr long kMkdirat32 = 296;
  constexpr long kX32 = 0x40000000;
  OciSeccomp profile = deny_all("SCMP_ACT_ERRNO");
  profile.architectures = {"SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_X86_64"};
  EXPECT_EQ(outcome(profile, [] { return call_32_bit(kMkdirat32); }), "EPERM");
  EXPECT_EQ(outcome(profile, [] { return call_32_bit(kNoSuchCall); }), "ENOSYS");
  EXPECT_EQ(outcome(profile, [] { return ::syscall(kX32 + SYS_mkdirat, -1, "", 0); }), "EPERM");
  EXPECT_EQ(outcome(profile, [] { return ::syscall(kX32 + 5000); }), "ENOSYS");
  EXPECT_EQ(outcome(profile, make_directory), "EPERM");
  EXPECT_EQ(outcome(profile, no_such_call), "ENOSYS");
  // An architecture that the profile does not name is no way around it.
  profile.architectures = {"SCMP_ARCH_X86_64"};
  EXPECT_EQ(outcome(profile, [] { return call_32_bit(kMkdirat32); }), kKilled);
  EXPECT_EQ(outcome(profile, [] { return ::syscall(kX32 + SYS_mkdirat, -1, "", 0); }), kKilled);
  EXPECT_EQ(outcome(profile, [] { return ::syscall(kX32 + 5000); }), kKilled);
}
#endif

TEST(SeccompProfile, WhatCannotBeTranslatedIsNamed) {
  OciSeccomp profile = allow_all_but({"mkdirat"}, "SCMP_ACT_ERRNO");
  profile.architectures = {"SCMP_ARCH_PDP11"};
  EXPECT_THAT(load_seccomp_profile(profile).error().message(),
              testing::HasSubstr("SCMP_ARCH_PDP11"));
}

}  // namespace
}  // namespace sysbox::runc

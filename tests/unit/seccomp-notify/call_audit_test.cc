#include "seccomp-notify/call_audit.h"

#include <gmock/gmock.h>
#include <linux/audit.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "common/log.h"
#include "common/syscalls.h"

namespace sysbox::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using namespace seccomp;

class Audit : public ::testing::Test {
 protected:
  void SetUp() override {
    UniqueFd log(::memfd_create("log", MFD_CLOEXEC));
    log_ = sys::duplicate(log.get()).value();
    log::set_output(std::move(log));
  }
  void TearDown() override { log::reset_output(); }

  void record(const Verdict& verdict, bool is_expired = false) {
    Notification call;
    call.tid_on_host = 4711;
#if defined(__x86_64__)
    call.architecture = AUDIT_ARCH_X86_64;
#else
    call.architecture = AUDIT_ARCH_AARCH64;
#endif
    call.number = SYS_sysinfo;
    audit_.record(counters_, call, verdict, is_expired);
  }
  std::string logged() {
    EXPECT_EQ(::lseek(log_.get(), 0, SEEK_SET), 0);
    return sys::read_all(log_.get()).value();
  }

  CallAudit audit_;
  CallCounters counters_;
  UniqueFd log_;
};

TEST_F(Audit, CountsByOutcome) {
  record(SucceedWith{0});
  record(SucceedWith{0});
  record(FailWith{EPERM});
  record(LetKernelRunIt{});
  record(FailWith{EIO}, true);
  const std::vector<CountedCall> counted = counters_.read("box");
  ASSERT_EQ(counted.size(), 1U);
  EXPECT_EQ(counted[0].container, "box");
  EXPECT_EQ(counted[0].call, "sysinfo");
  EXPECT_EQ(counted[0].counts, (std::array<std::uint64_t, 4>{2, 1, 1, 1}));
  EXPECT_THAT(logged(), IsEmpty());
}

TEST_F(Audit, CountsWhatIsNoneOfTheTable) {
  Notification call;
  audit_.record(counters_, call, LetKernelRunIt{}, false);
  ASSERT_EQ(counters_.read("box").size(), 1U);
  EXPECT_EQ(counters_.read("box")[0].call, "other");
}

TEST_F(Audit, TellsOfErrorsOnly) {
  audit_.set_level(AuditLevel::kErrors);
  record(SucceedWith{0});
  record(LetKernelRunIt{});
  EXPECT_THAT(logged(), IsEmpty());
  record(FailWith{EPERM});
  record(FailWith{EIO}, true);
  EXPECT_THAT(logged(),
              HasSubstr("audit: sysinfo by thread 4711: failed: Operation not permitted"));
  EXPECT_THAT(logged(), HasSubstr("audit: sysinfo by thread 4711: not done in time"));
}

TEST_F(Audit, TellsOfAll) {
  audit_.set_level(AuditLevel::kAll);
  record(SucceedWith{0});
  record(LetKernelRunIt{});
  EXPECT_THAT(logged(), HasSubstr("by thread 4711: done"));
  EXPECT_THAT(logged(), HasSubstr("by thread 4711: left to the kernel"));
}

TEST_F(Audit, CannotBeMadeToFillTheDisk) {
  audit_.set_level(AuditLevel::kAll);
  for (int i = 0; i < 100'000; ++i) record(SucceedWith{0});
  const std::string text = logged();
  // 100 in each second, and these calls take far less than ten.
  EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 2500);
  EXPECT_EQ(counters_.read("box")[0].counts[0], 100'000U);
}

TEST(AuditLevels, HaveNames) {
  EXPECT_EQ(parse_audit_level("off"), AuditLevel::kOff);
  EXPECT_EQ(parse_audit_level("errors"), AuditLevel::kErrors);
  EXPECT_EQ(parse_audit_level("all"), AuditLevel::kAll);
  EXPECT_EQ(parse_audit_level("some"), std::nullopt);
}

}  // namespace
}  // namespace sysbox::testing

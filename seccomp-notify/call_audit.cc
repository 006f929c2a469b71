#include "seccomp-notify/call_audit.h"

#include <cstring>

#include "common/log.h"
#include "seccomp-notify/dispatch.h"

namespace sysbox::seccomp {
namespace {

constexpr int kLinesPerSecond = 100;
constexpr const char* kOtherCalls = "other";

CallOutcome outcome_of(const Verdict& verdict, bool is_expired) {
  if (is_expired) return CallOutcome::kExpired;
  if (std::holds_alternative<FailWith>(verdict)) return CallOutcome::kFailed;
  return std::holds_alternative<LetKernelRunIt>(verdict) ? CallOutcome::kLeftToKernel
                                                         : CallOutcome::kDone;
}

std::string text_of(const Verdict& verdict, CallOutcome outcome) {
  switch (outcome) {
    case CallOutcome::kDone:
      return "done";
    case CallOutcome::kLeftToKernel:
      return "left to the kernel";
    case CallOutcome::kExpired:
      return "not done in time";
    case CallOutcome::kFailed:
      break;
  }
  return join("failed: ", errno_text(std::get<FailWith>(verdict).code));
}

}  // namespace

std::optional<AuditLevel> parse_audit_level(std::string_view name) {
  if (name == "off") return AuditLevel::kOff;
  if (name == "errors") return AuditLevel::kErrors;
  if (name == "all") return AuditLevel::kAll;
  return std::nullopt;
}

CallCounters::CallCounters() {
  for (const TrappedSyscall& trapped : trapped_syscalls()) {
    rows_.push_back(std::make_unique<Row>(trapped.name));
  }
  rows_.push_back(std::make_unique<Row>(kOtherCalls));
}

void CallCounters::count(const char* call, CallOutcome outcome) {
  for (const std::unique_ptr<Row>& row : rows_) {
    if (std::strcmp(row->call, call) != 0) continue;
    row->counts[static_cast<std::size_t>(outcome)].fetch_add(1, std::memory_order_relaxed);
    return;
  }
}

std::vector<CountedCall> CallCounters::read(const std::string& container) const {
  std::vector<CountedCall> counted;
  for (const std::unique_ptr<Row>& row : rows_) {
    CountedCall call{container, row->call, {}};
    std::uint64_t all = 0;
    for (std::size_t i = 0; i < kOutcomes; ++i) all += call.counts[i] = row->counts[i];
    if (all != 0) counted.push_back(std::move(call));
  }
  return counted;
}

void CallAudit::record(CallCounters& counters, const Notification& call, const Verdict& verdict,
                       bool is_expired) {
  const TrappedSyscall* const trapped = find_trapped_syscall(call.architecture, call.number);
  const char* const name = trapped == nullptr ? kOtherCalls : trapped->name;
  const CallOutcome outcome = outcome_of(verdict, is_expired);
  counters.count(name, outcome);
  const AuditLevel level = level_;
  const bool is_error = outcome == CallOutcome::kFailed || outcome == CallOutcome::kExpired;
  if (level == AuditLevel::kOff || (level == AuditLevel::kErrors && !is_error)) return;
  std::uint64_t left_out = 0;
  if (!may_write(left_out)) return;
  if (left_out != 0) log::info("audit: ", left_out, " calls before this one are left out");
  log::info("audit: ", name, " by thread ", call.tid_on_host, ": ", text_of(verdict, outcome));
}

bool CallAudit::may_write(std::uint64_t& left_out) {
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  if (now - second_start_ >= std::chrono::seconds(1)) {
    second_start_ = now;
    lines_in_second_ = 0;
  }
  if (lines_in_second_ >= kLinesPerSecond) {
    ++left_out_;
    return false;
  }
  ++lines_in_second_;
  left_out = std::exchange(left_out_, 0);
  return true;
}

}  // namespace sysbox::seccomp

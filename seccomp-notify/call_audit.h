#pragma once

// Counts the trapped calls of each container by outcome, and tells of them in the log if asked to.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "seccomp-notify/notify_kernel.h"

namespace sysbox::seccomp {

// Which calls get a line in the log. Those that the kernel runs after all get none with kErrors.
enum class AuditLevel { kOff, kErrors, kAll };
std::optional<AuditLevel> parse_audit_level(std::string_view name);  // off errors all

enum class CallOutcome { kDone, kFailed, kLeftToKernel, kExpired };
inline constexpr std::size_t kOutcomes = 4;

struct CountedCall {
  std::string container;
  std::string call;
  std::array<std::uint64_t, kOutcomes> counts{};
};

// The counters of one container; from several threads at once.
class CallCounters {
 public:
  CallCounters();
  void count(const char* call, CallOutcome outcome);
  // Those that were called.
  std::vector<CountedCall> read(const std::string& container) const;

 private:
  struct Row {
    const char* call;
    std::array<std::atomic<std::uint64_t>, kOutcomes> counts{};
    explicit Row(const char* name) : call(name) {}
  };
  std::vector<std::unique_ptr<Row>> rows_;  // of each trapped call, and one for others
};

class CallAudit {
 public:
  void set_level(AuditLevel level) { level_ = level; }
  // In the log scope of the container. What a container can make be logged is bounded: what is
  // over is counted, and told with the next line.
  void record(CallCounters& counters, const Notification& call, const Verdict& verdict,
              bool is_expired);

 private:
  bool may_write(std::uint64_t& left_out);

  std::atomic<AuditLevel> level_{AuditLevel::kOff};
  std::mutex mutex_;  // of what follows
  std::chrono::steady_clock::time_point second_start_;
  int lines_in_second_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace sysbox::seccomp

#include "runc-ext/init/oom_score.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "common/log.h"
#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

// Takes a capability out of the effective set while it lives.
class WithoutCapability {
 public:
  explicit WithoutCapability(unsigned capability) {
    if (::syscall(SYS_capget, &header_, before_.data()) != 0) return;
    auto without = before_;
    without[capability / 32].effective &= ~(1U << (capability % 32));
    dropped_ = ::syscall(SYS_capset, &header_, without.data()) == 0;
  }
  ~WithoutCapability() {
    if (dropped_) static_cast<void>(::syscall(SYS_capset, &header_, before_.data()));
  }
  WithoutCapability(const WithoutCapability&) = delete;
  WithoutCapability& operator=(const WithoutCapability&) = delete;

 private:
  struct __user_cap_header_struct header_ {
    _LINUX_CAPABILITY_VERSION_3, 0
  };
  std::array<struct __user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> before_{};
  bool dropped_ = false;
};

bool is_not_permitted(const Result<void>& result) {
  return !result.ok() && (result.error().code() == EACCES || result.error().code() == EPERM);
}

Result<int> read_score(const std::string& path) {
  const std::string text = TRY(sys::read_file(path));
  int score = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), score);
  if (error != std::errc{}) return Error(EINVAL, join("'", path, "': '", text, "' is no number"));
  return score;
}

}  // namespace

Result<void> apply_oom_score(pid_t pid, std::optional<int> wanted, int floor) {
  const std::string path = join("/proc/", pid, "/oom_score_adj");
  const int before = TRY(read_score(path));
  const int score = wanted.value_or(before);
  const auto write = [&path](int value) { return sys::write_file(path, std::to_string(value)); };
  // What is written with the capability becomes the least value for those without it.
  const Result<void> lowered = write(std::min(floor, score));
  if (!lowered.ok() && !is_not_permitted(lowered)) return lowered;
  if (!lowered.ok() && score == before) return {};
  const WithoutCapability without(CAP_SYS_RESOURCE);
  Result<void> set = write(score);
  if (!is_not_permitted(set)) return set;
  log::warning("process.oomScoreAdj ", score,
               " is lower than this host lets us set (no CAP_SYS_RESOURCE), keeping ", before);
  return {};
}

}  // namespace sysbox::runc

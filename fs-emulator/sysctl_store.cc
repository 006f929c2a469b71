#include "fs-emulator/sysctl_store.h"

#include <algorithm>

#include "fs-emulator/text_fields.h"

namespace sysbox::fs {
namespace {

struct timespec wall_time() {
  struct timespec now {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

bool is_later(const struct timespec& a, const struct timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

struct timespec just_after(struct timespec time) {
  constexpr long kNsPerSecond = 1'000'000'000;
  if (++time.tv_nsec == kNsPerSecond) {
    time.tv_nsec = 0;
    ++time.tv_sec;
  }
  return time;
}

std::string host_text(const HostFiles& host, std::string_view path) {
  const bool is_proc = path.starts_with("/proc/");
  const std::string below(path.substr(is_proc ? 6 : 5));
  Result<std::string> text = (is_proc ? host.proc : host.sys).read_file(below);
  return std::move(text).value_or("");
}

std::string initial_text(const HostFiles& host, const Sysctl& sysctl) {
  if (sysctl.policy == SysctlPolicy::Trigger) return "";
  if (sysctl.initial != kHostValue) return join(sysctl.initial, "\n");
  const std::string text = host_text(host, sysctl.path);
  std::string_view rest = text;
  const std::string_view line = next_line(rest);
  // A host without the file has no place to bind ours to; the value matters to nobody.
  return line.empty() ? join(std::max<std::int64_t>(sysctl.min, 0), "\n") : join(line, "\n");
}

}  // namespace

SysctlDefaults::SysctlDefaults(const HostFiles& host) {
  const struct timespec now = wall_time();
  for (const Sysctl& sysctl : sysctls()) values_.push_back({initial_text(host, sysctl), now});
}

const SysctlValue& SysctlStore::current(std::size_t index) const {
  const auto found = written_.find(index);
  return found != written_.end() ? found->second : defaults_.value(index);
}

SysctlValue SysctlStore::value(std::size_t index) const {
  const std::lock_guard lock(mutex_);
  return current(index);
}

void SysctlStore::store(std::size_t index, std::string text) {
  // The clock may stand still between two writes, or be set back.
  const struct timespec before = current(index).changed;
  const struct timespec now = wall_time();
  written_[index] = {std::move(text), is_later(now, before) ? now : just_after(before)};
}

Result<void> SysctlStore::write(std::size_t index, std::string_view written) {
  const Sysctl& sysctl = sysctls()[index];
  if (sysctl.policy == SysctlPolicy::FixedValue) return errno_error(EACCES, sysctl.path);
  const std::lock_guard lock(mutex_);
  std::string text = TRY(parse_sysctl_write(sysctl, current(index).text, written));
  if (sysctl.policy == SysctlPolicy::Trigger) return {};
  store(index, std::move(text));
  if (sysctl.zeroes.empty()) return {};
  const auto rows = sysctls();
  const auto other = std::find_if(
      rows.begin(), rows.end(), [&sysctl](const Sysctl& row) { return row.path == sysctl.zeroes; });
  if (other != rows.end()) store(static_cast<std::size_t>(other - rows.begin()), "0\n");
  return {};
}

}  // namespace sysbox::fs

#include "fs-emulator/sysctl_store.h"

#include <algorithm>
#include <optional>

#include "fs-emulator/text_fields.h"

namespace sysbox::fs {
namespace {

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

std::optional<std::size_t> row_of(std::string_view path) {
  const auto rows = sysctls();
  const auto found = std::lower_bound(
      rows.begin(), rows.end(), path,
      [](const Sysctl& row, std::string_view wanted) { return row.path < wanted; });
  if (found == rows.end() || found->path != path) return {};
  return static_cast<std::size_t>(found - rows.begin());
}

// The 0 of a pair's other file may lie outside the range of what can be written.
bool is_possible(const Sysctl& sysctl, const std::string& value) {
  if (sysctl.policy != SysctlPolicy::StoredPerContainer) return false;
  if (!sysctl.zeroes.empty() && value == "0\n") return true;
  const Result<std::string> parsed = parse_sysctl_write(sysctl, value, value);
  return parsed.ok() && parsed.value() == value;
}

}  // namespace

SysctlDefaults::SysctlDefaults(const HostFiles& host) {
  for (const Sysctl& sysctl : sysctls()) values_.push_back(initial_text(host, sysctl));
}

const std::string& SysctlStore::current(std::size_t index) const {
  const auto found = written_.find(index);
  return found != written_.end() ? found->second : defaults_.value(index);
}

std::string SysctlStore::value(std::size_t index) const {
  const std::lock_guard lock(mutex_);
  return current(index);
}

Result<void> SysctlStore::write(std::size_t index, std::string_view written) {
  const Sysctl& sysctl = sysctls()[index];
  if (sysctl.policy == SysctlPolicy::FixedValue) return errno_error(EACCES, sysctl.path);
  const std::lock_guard lock(mutex_);
  std::string text = TRY(parse_sysctl_write(sysctl, current(index), written));
  if (sysctl.policy == SysctlPolicy::Trigger) return {};
  written_[index] = std::move(text);
  if (sysctl.zeroes.empty()) return {};
  const std::optional<std::size_t> other = row_of(sysctl.zeroes);
  if (other) written_[*other] = "0\n";
  return {};
}

std::vector<SavedSysctl> SysctlStore::save() const {
  std::vector<SavedSysctl> saved;
  const std::lock_guard lock(mutex_);
  for (const auto& [index, value] : written_) {
    saved.push_back({std::string(sysctls()[index].path), value});
  }
  return saved;
}

void SysctlStore::load(const std::vector<SavedSysctl>& saved) {
  std::map<std::size_t, std::string> written;
  for (const SavedSysctl& each : saved) {
    const std::optional<std::size_t> index = row_of(each.path);
    if (index && is_possible(sysctls()[*index], each.value)) written[*index] = each.value;
  }
  const std::lock_guard lock(mutex_);
  written_ = std::move(written);
}

}  // namespace sysbox::fs

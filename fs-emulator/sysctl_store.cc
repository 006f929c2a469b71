#include "fs-emulator/sysctl_store.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <optional>

#include "fs-emulator/text_fields.h"

namespace sysbox::fs {
namespace {

std::string host_text(const HostFiles& host, std::string_view path) {
  Result<std::string> text = host.file_system_of(path).read_file(HostFiles::below(path));
  return std::move(text).value_or("");
}

std::string initial_text(const HostFiles& host, const Sysctl& sysctl) {
  if (sysctl.policy == SysctlPolicy::Trigger || sysctl.policy == SysctlPolicy::UtsName) return "";
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

// As the kernel's: a random UUID of version 4.
std::string make_uuid() {
  std::array<unsigned char, 16> bytes{};
  // Without flags and for so few bytes it neither fails nor waits once the machine is up.
  static_cast<void>(::getrandom(bytes.data(), bytes.size(), 0));
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0fU) | 0x40U);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3fU) | 0x80U);
  std::string text;
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kDigits[bytes[i] >> 4U];
    text += kDigits[bytes[i] & 0x0fU];
  }
  return text + "\n";
}

bool is_uuid(std::string_view text) {
  constexpr std::string_view kForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx\n";
  return text.size() == kForm.size() &&
         std::equal(text.begin(), text.end(), kForm.begin(), [](char c, char form) {
           return form == 'x' ? (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') : c == form;
         });
}

// The 0 of a pair's other file may lie outside the range of what can be written.
bool is_possible(const Sysctl& sysctl, const std::string& value) {
  if (sysctl.policy == SysctlPolicy::UuidPerContainer) return is_uuid(value);
  if (sysctl.policy != SysctlPolicy::StoredPerContainer) return false;
  if (!sysctl.zeroes.empty() && value == "0\n") return true;
  if (sysctl.format == SysctlFormat::kChoice) return value.size() < 256;
  const Result<std::string> parsed = parse_sysctl_write(sysctl, value, value);
  return parsed.ok() && parsed.value() == value;
}

}  // namespace

SysctlDefaults::SysctlDefaults(const HostFiles& host) {
  for (const Sysctl& sysctl : sysctls()) values_.push_back(initial_text(host, sysctl));
}

SysctlStore::SysctlStore(const SysctlDefaults& defaults) : defaults_(defaults) {
  for (std::size_t row = 0; row < sysctls().size(); ++row) {
    if (sysctls()[row].policy == SysctlPolicy::UuidPerContainer) written_[row] = make_uuid();
  }
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
  if ((sysctl.mode & 0222U) == 0) return errno_error(EACCES, sysctl.path);
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
  for (const auto& [index, value] : written_) {
    if (sysctls()[index].policy == SysctlPolicy::UuidPerContainer) written.emplace(index, value);
  }
  written_ = std::move(written);
}

}  // namespace sysbox::fs

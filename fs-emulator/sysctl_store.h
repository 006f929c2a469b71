#pragma once

// The values of a container's own settings. Only what it has written takes memory.

#include <ctime>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "fs-emulator/container_view.h"
#include "fs-emulator/sysctl.h"

namespace sysbox::fs {

// What a file holds and when that changed: different contents have different times, which is how
// the kernel's page cache learns of a change.
struct SysctlValue {
  std::string text;
  struct timespec changed {};
};

// The values of a container that has written none; read once, shared by all.
class SysctlDefaults {
 public:
  explicit SysctlDefaults(const HostFiles& host);
  const SysctlValue& value(std::size_t index) const { return values_[index]; }

 private:
  std::vector<SysctlValue> values_;
};

// An index is that of the row in sysctls().
class SysctlStore {
 public:
  explicit SysctlStore(const SysctlDefaults& defaults) : defaults_(defaults) {}

  SysctlValue value(std::size_t index) const;
  Result<void> write(std::size_t index, std::string_view written);

 private:
  const SysctlValue& current(std::size_t index) const;
  void store(std::size_t index, std::string text);

  const SysctlDefaults& defaults_;
  mutable std::mutex mutex_;
  std::map<std::size_t, SysctlValue> written_;
};

}  // namespace sysbox::fs

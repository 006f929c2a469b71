#pragma once

// The values of a container's own settings. Only what it has written takes memory.

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "fs-emulator/container_view.h"
#include "fs-emulator/sysctl.h"

namespace sysbox::fs {

// The values of a container that has written none; read once, shared by all.
class SysctlDefaults {
 public:
  explicit SysctlDefaults(const HostFiles& host);
  const std::string& value(std::size_t index) const { return values_[index]; }

 private:
  std::vector<std::string> values_;
};

// An index is that of the row in sysctls().
class SysctlStore {
 public:
  explicit SysctlStore(const SysctlDefaults& defaults) : defaults_(defaults) {}

  std::string value(std::size_t index) const;
  Result<void> write(std::size_t index, std::string_view written);

 private:
  const std::string& current(std::size_t index) const;

  const SysctlDefaults& defaults_;
  mutable std::mutex mutex_;
  std::map<std::size_t, std::string> written_;
};

}  // namespace sysbox::fs

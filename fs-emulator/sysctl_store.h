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

// One value that a container has, as plain data: how it is kept while no daemon runs.
struct SavedSysctl {
  std::string path;   // "/proc/sys/kernel/panic"
  std::string value;  // as it is read, with the final newline
};

// An index is that of the row in sysctls().
class SysctlStore {
 public:
  explicit SysctlStore(const SysctlDefaults& defaults);

  std::string value(std::size_t index) const;
  Result<void> write(std::size_t index, std::string_view written);

  // What differs from the defaults, sorted by path.
  std::vector<SavedSysctl> save() const;
  // Takes the place of all that was written. Left out is what this version does not know or what
  // could not have come about: the defaults stand for it.
  void load(const std::vector<SavedSysctl>& saved);

 private:
  const std::string& current(std::size_t index) const;

  const SysctlDefaults& defaults_;
  mutable std::mutex mutex_;
  std::map<std::size_t, std::string> written_;
};

}  // namespace sysbox::fs

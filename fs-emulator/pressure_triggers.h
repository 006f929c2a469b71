#pragma once

// Triggers of /proc/pressure: what a process inside writes to an open file there becomes a trigger
// on the pressure file of its cgroup, and poll(2) on the one tells of the other.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"
#include "fs-emulator/poll_waiter.h"

namespace sysbox::fs {

// Of one container; by the handle of the open file.
class PressureTriggers {
 public:
  PressureTriggers() = default;
  ~PressureTriggers();  // before the connection ends that the pollers wait at
  PressureTriggers(const PressureTriggers&) = delete;
  PressureTriggers& operator=(const PressureTriggers&) = delete;

  // `pressure_file`: open for reading and writing. The kernel's errors for the text; EBUSY for a
  // second one on an open file, ENOMEM beyond what one container may have.
  Result<void> set(std::uint64_t handle, UniqueFd pressure_file, std::string_view text);
  void release(std::uint64_t handle);
  void release_all();

  // The events for poll(2); `waiter` is told of the next one. Null: nobody waits.
  unsigned poll(std::uint64_t handle, PollWaiter waiter);

 private:
  class Trigger;

  std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<Trigger>> triggers_;
};

}  // namespace sysbox::fs

#pragma once

// What emulated files must remember of a container between two reads: counters that never go
// back, and averages. All of it is brought up to date by the reader itself, so that a container
// whose files nobody reads costs nothing.

#include <array>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "fs-emulator/task_census.h"

namespace sysbox::fs {

struct CpuCounters {
  std::uint64_t user_ns = 0;
  std::uint64_t system_ns = 0;
  std::uint64_t idle_ns = 0;
};

// The times of all cpus that a container sees.
struct CpuTable {
  CpuCounters total;
  std::vector<CpuCounters> cpus;
};

// What is known of the container's use of cpus at a moment; times since the container's start.
struct CpuSample {
  std::uint64_t since_start_ns = 0;
  std::uint64_t user_ns = 0;
  std::uint64_t system_ns = 0;
  std::size_t cpu_count = 1;
};

class CpuHistory {
 public:
  // Spreads what was used since the last sample over the cpus, the rest of the time is idle. No
  // counter goes back, whatever the sample says and however the number of cpus changes.
  // Kernels bring what was used up to date in ticks: time beyond what a cpu has is taken from
  // its idle time in the next samples.
  const CpuTable& update(const CpuSample& sample);

  template <typename Archive>
  void exchange(Archive& archive);

 private:
  CpuSample last_;
  std::uint64_t overdrawn_ns_ = 0;  // of each cpu
  CpuTable table_;  // keeps the counters of cpus that are gone, should they come back
  CpuTable shown_;
};

// The load average of the kernel, e^(-t/1, 5, 15 minutes), without a tick.
class LoadAverage {
 public:
  // True if the number of runnable tasks is worth counting again; counting is not free.
  bool wants_count(std::uint64_t now_ns) const;
  // `busy_ns`: cpu time used and waited for so far; `runnable`: counted this moment.
  void update(std::uint64_t now_ns, std::uint64_t busy_ns, std::uint64_t runnable);

  const std::array<double, 3>& averages() const { return averages_; }

  template <typename Archive>
  void exchange(Archive& archive);

 private:
  void decay(double seconds, double active);

  std::array<double, 3> averages_{};
  std::uint64_t last_ns_ = 0;
  std::uint64_t last_busy_ns_ = 0;
  bool started_ = false;
};

struct ContainerHistory {
  std::mutex mutex;  // held for calculations only, never while something is read
  LoadAverage load;
  TaskCensus census;  // the last one
  // Since the first reader; what tasks did that ended between two readers is lost.
  std::uint64_t context_switches = 0;
  std::uint64_t last_pid = 0;  // the highest seen

  void take_in(const TaskCensus& census);

  // One history for each cgroup with a cpu limit of its own (nested containers); the ones not
  // read for longest make room.
  CpuHistory& cpu_history(std::string_view cgroup);

  // For a later process, if something has changed since the last save().
  bool has_changed() const { return has_changed_; }
  std::string save();
  // False, and an empty history, for what save() did not make.
  bool load_saved(std::string_view saved);

 private:
  template <typename Archive>
  void exchange(Archive& archive);

  struct Named {
    std::string cgroup;
    CpuHistory history;
  };
  std::list<Named> cpu_histories_;
  bool has_changed_ = false;
};

}  // namespace sysbox::fs

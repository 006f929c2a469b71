#include "fs-emulator/container_history.h"

#include <algorithm>
#include <cmath>

#include "fs-emulator/history_archive.h"

namespace sysbox::fs {
namespace {

constexpr double kNsPerSecond = 1e9;
constexpr std::array kLoadPeriodsSeconds = {60.0, 300.0, 900.0};
// The kernel takes a sample each 5 s (LOAD_FREQ).
constexpr std::uint64_t kLoadSampleNs = 5'000'000'000;
// More than ticks can explain: the number of cpus was another one, that is not made up for.
constexpr std::uint64_t kMaxOverdrawnNs = 100'000'000;
constexpr std::size_t kMaxCpuHistories = 16;
constexpr std::size_t kMaxSavedCpus = 8192;

std::uint64_t growth(std::uint64_t now, std::uint64_t before) {
  return now > before ? now - before : 0;
}

void add(CpuCounters& counters, const CpuCounters& grown) {
  counters.user_ns += grown.user_ns;
  counters.system_ns += grown.system_ns;
  counters.idle_ns += grown.idle_ns;
}

}  // namespace

const CpuTable& CpuHistory::update(const CpuSample& sample) {
  const std::size_t count = std::max<std::size_t>(sample.cpu_count, 1);
  const std::uint64_t elapsed = growth(sample.since_start_ns, last_.since_start_ns);
  CpuCounters each;
  each.user_ns = growth(sample.user_ns, last_.user_ns) / count;
  each.system_ns = growth(sample.system_ns, last_.system_ns) / count;
  const std::uint64_t used = each.user_ns + each.system_ns + overdrawn_ns_;
  each.idle_ns = growth(elapsed, used);
  overdrawn_ns_ = std::min(growth(used, elapsed), kMaxOverdrawnNs);

  if (table_.cpus.size() < count) table_.cpus.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    add(table_.cpus[i], each);
    add(table_.total, each);
  }
  // What the division dropped stays for the next sample.
  last_.since_start_ns = std::max(sample.since_start_ns, last_.since_start_ns);
  last_.user_ns += each.user_ns * count;
  last_.system_ns += each.system_ns * count;
  last_.user_ns = std::min(last_.user_ns, sample.user_ns);
  last_.system_ns = std::min(last_.system_ns, sample.system_ns);

  shown_.total = table_.total;
  shown_.cpus.assign(table_.cpus.begin(), table_.cpus.begin() + static_cast<std::ptrdiff_t>(count));
  return shown_;
}

bool LoadAverage::wants_count(std::uint64_t now_ns) const {
  return !started_ || growth(now_ns, last_ns_) >= kLoadSampleNs;
}

void LoadAverage::decay(double seconds, double active) {
  for (std::size_t i = 0; i < averages_.size(); ++i) {
    const double kept = std::exp(-seconds / kLoadPeriodsSeconds[i]);
    averages_[i] = averages_[i] * kept + active * (1 - kept);
  }
}

void LoadAverage::update(std::uint64_t now_ns, std::uint64_t busy_ns, std::uint64_t runnable) {
  if (!started_) {
    started_ = true;
    last_ns_ = now_ns;
    last_busy_ns_ = busy_ns;
    return;
  }
  const std::uint64_t elapsed = growth(now_ns, last_ns_);
  if (elapsed == 0) return;
  const double busy =
      static_cast<double>(growth(busy_ns, last_busy_ns_)) / static_cast<double>(elapsed);
  // What was runnable in the long time without a reader is known by its cpu time; the count of
  // this moment stands for the last sampling period only.
  const std::uint64_t recent = std::min(elapsed, kLoadSampleNs);
  decay(static_cast<double>(elapsed - recent) / kNsPerSecond, busy);
  decay(static_cast<double>(recent) / kNsPerSecond, std::max(busy, static_cast<double>(runnable)));
  last_ns_ = now_ns;
  last_busy_ns_ = busy_ns;
}

void ContainerHistory::take_in(const TaskCensus& latest) {
  context_switches += growth(latest.context_switches, census.context_switches);
  last_pid = std::max(last_pid, latest.highest_pid);
  census = latest;
  has_changed_ = true;
}

template <typename Archive>
void CpuHistory::exchange(Archive& archive) {
  archive.number(last_.since_start_ns);
  archive.number(last_.user_ns);
  archive.number(last_.system_ns);
  archive.number(overdrawn_ns_);
  archive.number(table_.total);
  table_.cpus.resize(archive.count(table_.cpus.size(), kMaxSavedCpus));
  for (CpuCounters& cpu : table_.cpus) archive.number(cpu);
}

template <typename Archive>
void LoadAverage::exchange(Archive& archive) {
  archive.number(averages_);
  archive.number(last_ns_);
  archive.number(last_busy_ns_);
  archive.number(started_);
}

template <typename Archive>
void ContainerHistory::exchange(Archive& archive) {
  load.exchange(archive);
  archive.number(census);
  archive.number(context_switches);
  archive.number(last_pid);
  cpu_histories_.resize(archive.count(cpu_histories_.size(), kMaxCpuHistories));
  for (Named& named : cpu_histories_) {
    archive.text(named.cgroup);
    named.history.exchange(archive);
  }
}

std::string ContainerHistory::save() {
  has_changed_ = false;
  HistoryWriter writer;
  exchange(writer);
  return writer.take();
}

bool ContainerHistory::load_saved(std::string_view saved) {
  HistoryReader reader(saved);
  exchange(reader);
  if (reader.is_whole()) return true;
  HistoryReader nothing("");
  exchange(nothing);
  return false;
}

CpuHistory& ContainerHistory::cpu_history(std::string_view cgroup) {
  has_changed_ = true;
  const auto found = std::find_if(cpu_histories_.begin(), cpu_histories_.end(),
                                  [cgroup](const Named& named) { return named.cgroup == cgroup; });
  if (found != cpu_histories_.end()) {
    cpu_histories_.splice(cpu_histories_.begin(), cpu_histories_, found);
    return cpu_histories_.front().history;
  }
  // The container's own ("") is never dropped: most readers see that one.
  if (cpu_histories_.size() >= kMaxCpuHistories) {
    const auto oldest = std::find_if(cpu_histories_.rbegin(), cpu_histories_.rend(),
                                     [](const Named& named) { return !named.cgroup.empty(); });
    if (oldest != cpu_histories_.rend()) cpu_histories_.erase(std::next(oldest).base());
  }
  cpu_histories_.push_front({std::string(cgroup), {}});
  return cpu_histories_.front().history;
}

}  // namespace sysbox::fs

#pragma once

// LayerWatch: sees what the engine does in its overlays of running containers, and has both
// overlays of a container look again when it has done something (shared_layer.h). The containers'
// own overlays are not watched: what is done inside costs nothing.

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "common/result.h"
#include "common/unique_fd.h"
#include "fs-emulator/shared_layer.h"

namespace sysbox::fs {

class LayerWatch {
 public:
  LayerWatch() = default;
  ~LayerWatch();  // waits for what is in work
  LayerWatch(const LayerWatch&) = delete;
  LayerWatch& operator=(const LayerWatch&) = delete;

  enum class Since { kNow, kEarlier };  // earlier: something may have been missed
  Result<void> add(const std::string& id, std::shared_ptr<const SharedLayer> shared, Since since);
  // Waits, but not for long, for what is in work. An unknown id is no error.
  void remove(const std::string& id);

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  enum class Activity { kNone, kRead, kWritten };
  struct Entry {
    std::shared_ptr<const SharedLayer> shared;
    dev_t engine_device = 0;
    int root_watch = -1;
    Activity seen = Activity::kNone;
    std::size_t looks = 0;  // since then
    TimePoint due;          // of the next one
    bool is_in_work = false;
  };

  Result<void> start();
  void watch();
  int next_timeout();
  void read_events();
  void read_root_events();
  static void note(Entry& entry, Activity activity);
  void note_all_of(dev_t device, Activity activity);
  void start_due();
  void work(const std::string& id, const std::shared_ptr<const SharedLayer>& shared,
            Activity activity);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Entry> entries_;
  unsigned in_work_ = 0;
  UniqueFd events_;
  UniqueFd root_events_;
  UniqueFd wake_;
  bool stopping_ = false;
  std::thread thread_;  // from the first container on
};

}  // namespace sysbox::fs

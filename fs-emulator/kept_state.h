#pragma once

// KeptState: what is known of one container, in memory that outlives this process. sysbox-mgr has
// a copy of its descriptor; the next sysbox-fs reads it there. A kill at any moment leaves each
// part whole: as it was before, or after, a replacement.

#include <array>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox::fs {

class KeptState {
 public:
  // Parts that change together; each is replaced as a whole.
  enum class Part : std::size_t {
    kRecord,    // set once: container_record.h
    kSettings,  // with each write of a setting: container_record.h
    kHistory,   // with each reading of a counter: ContainerHistory::save()
  };
  static constexpr std::size_t kPartCount = 3;
  static constexpr std::size_t kMaxPartBytes = 64U << 10U;

  static Result<std::unique_ptr<KeptState>> create();
  // Of another process, perhaps of another version: EPROTO if it is none that we know.
  static Result<std::unique_ptr<KeptState>> open(UniqueFd memory);
  ~KeptState();
  KeptState(const KeptState&) = delete;
  KeptState& operator=(const KeptState&) = delete;

  // E2BIG. Calls of one part must not overlap.
  Result<void> replace(Part part, std::string_view text);
  // EPROTO if it is damaged.
  Result<std::string> text(Part part) const;

  int fd() const { return memory_.get(); }

 private:
  struct Layout;
  KeptState(UniqueFd memory, Layout* layout) : memory_(std::move(memory)), layout_(layout) {}

  const UniqueFd memory_;
  Layout* const layout_;
};

// Puts a running container's state into a KeptState, once it has one.
class StateKeeper {
 public:
  void begin(std::shared_ptr<KeptState> memory);
  std::shared_ptr<KeptState> memory() const;
  // Before a change is told to whoever made it, or to the first who sees it. `make_text` is called
  // if there is somewhere to keep it, by one thread at a time.
  template <typename MakeText>
  void keep(KeptState::Part part, MakeText make_text) {
    const std::lock_guard lock(mutex_);
    if (memory_) replace(part, make_text());
  }

 private:
  void replace(KeptState::Part part, std::string_view text);

  mutable std::mutex mutex_;
  std::shared_ptr<KeptState> memory_;
};

}  // namespace sysbox::fs

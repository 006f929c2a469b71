#pragma once

// NotifyEvents: what the workers of a NotifyLoop wait for together: listeners, a deadline, calls
// to carry out that nobody has to receive, and the end.

#include <cstdint>

#include "common/result.h"
#include "common/syscalls.h"
#include "common/unique_fd.h"

namespace sysbox::seccomp {

class NotifyEvents {
 public:
  static constexpr std::uint64_t kStop = 0;       // stays
  static constexpr std::uint64_t kDeadline = 1;   // until take_deadline()
  static constexpr std::uint64_t kInherited = 2;  // as often as announced, until taken
  static constexpr std::uint64_t kFirstListener = 3;

  Result<void> open();
  bool is_open() const { return epoll_.valid(); }

  // A listener tells of one event, then it has to be armed again. `key`: kFirstListener or more.
  Result<void> add(int listener, std::uint64_t key) const;
  Result<void> arm(int listener, std::uint64_t key) const;
  void remove(int listener) const;

  void announce_stop() const;
  void announce_inherited() const;
  // False: another worker has come first.
  bool take_inherited() const;
  Result<void> set_deadline(Deadline deadline) const;
  bool take_deadline() const;

  struct Event {
    std::uint64_t key = 0;
    std::uint32_t events = 0;  // EPOLLIN …
  };
  // False: there is none as yet. -1: no timeout.
  bool wait(int timeout_ms, Event& event) const;

 private:
  UniqueFd epoll_, stop_, timer_, inherited_;
};

}  // namespace sysbox::seccomp

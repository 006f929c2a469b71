#pragma once

// CallJournal: the trapped calls that were received and are not answered yet, in memory that may
// outlive this process. The kernel writes each call right into it, so that a kill at any moment
// leaves no call that nobody knows of: its caller would wait for ever.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sysbox::seccomp {

struct JournaledCall {
  std::atomic<std::uint32_t> is_claimed;
  std::array<char, 256> container;  // its id, ended by a NUL
  std::uint64_t listener;           // its number
  // What a handler writes down right before an effect, so that one who carries the same call out
  // again knows whether it came about. 0: none was near.
  std::atomic<std::uint64_t> evidence;
  // struct seccomp_notif; all 0 while none was received.
  alignas(8) std::array<std::byte, 128> raw;

  bool is_received() const;
};

class CallJournal {
 public:
  static constexpr std::size_t kCalls = 256;
  static constexpr std::size_t kBytes = kCalls * sizeof(JournaledCall);

  // In memory of its own.
  CallJournal();
  // In memory of kBytes that is zeroed, or that was a journal's of an earlier process.
  explicit CallJournal(std::span<std::byte> memory);
  CallJournal(const CallJournal&) = delete;
  CallJournal& operator=(const CallJournal&) = delete;

  // A place for one call. If all are taken, one that would not outlive this process.
  JournaledCall& claim(std::string_view container, std::uint64_t listener);
  void release(JournaledCall& call);

  // What an earlier process received from that listener and did not answer; each is to be
  // released by the caller. Listeners that nobody asks about have ended.
  std::vector<JournaledCall*> take_unanswered(std::string_view container, std::uint64_t listener);
  // Those that nobody has taken.
  void drop_unanswered();

 private:
  std::unique_ptr<std::byte[]> own_memory_;
  std::span<JournaledCall> calls_;
  std::mutex mutex_;
  std::vector<JournaledCall*> unanswered_;
};

}  // namespace sysbox::seccomp

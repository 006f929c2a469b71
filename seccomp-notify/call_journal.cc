#include "seccomp-notify/call_journal.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <cstring>

namespace sysbox::seccomp {
namespace {

std::string_view container_of(const JournaledCall& call) {
  return {call.container.data(), ::strnlen(call.container.data(), call.container.size())};
}

void empty(JournaledCall& call) {
  call.raw.fill(std::byte{0});
  call.evidence = 0;
}

}  // namespace

bool JournaledCall::is_received() const {
  struct seccomp_notif call {};
  std::memcpy(&call, raw.data(), sizeof call);
  return call.id != 0 || call.pid != 0;
}

CallJournal::CallJournal() : own_memory_(new std::byte[kBytes]()) {
  calls_ = {reinterpret_cast<JournaledCall*>(own_memory_.get()), kCalls};
}

CallJournal::CallJournal(std::span<std::byte> memory)
    : calls_(reinterpret_cast<JournaledCall*>(memory.data()), kCalls) {
  static_assert(sizeof(struct seccomp_notif) <= sizeof(JournaledCall::raw));
  for (JournaledCall& call : calls_) {
    if (call.is_claimed == 0) continue;
    if (call.is_received()) {
      unanswered_.push_back(&call);
    } else {
      call.is_claimed = 0;
    }
  }
}

JournaledCall& CallJournal::claim(std::string_view container, std::uint64_t listener) {
  JournaledCall* found = nullptr;
  for (JournaledCall& call : calls_) {
    std::uint32_t expected = 0;
    if (!call.is_claimed.compare_exchange_strong(expected, 1)) continue;
    found = &call;
    break;
  }
  if (found == nullptr) found = new JournaledCall{};
  empty(*found);
  found->listener = listener;
  const std::size_t length = std::min(container.size(), found->container.size() - 1);
  std::memcpy(found->container.data(), container.data(), length);
  found->container[length] = '\0';
  return *found;
}

void CallJournal::release(JournaledCall& call) {
  if (&call < calls_.data() || &call >= calls_.data() + calls_.size()) {
    delete &call;
    return;
  }
  empty(call);
  call.is_claimed = 0;
}

std::vector<JournaledCall*> CallJournal::take_unanswered(std::string_view container,
                                                         std::uint64_t listener) {
  std::vector<JournaledCall*> taken;
  const std::lock_guard lock(mutex_);
  const auto rest =
      std::partition(unanswered_.begin(), unanswered_.end(), [&](const JournaledCall* call) {
        return container_of(*call) != container || call->listener != listener;
      });
  taken.assign(rest, unanswered_.end());
  unanswered_.erase(rest, unanswered_.end());
  return taken;
}

void CallJournal::drop_unanswered() {
  const std::lock_guard lock(mutex_);
  for (JournaledCall* const call : unanswered_) release(*call);
  unanswered_.clear();
}

}  // namespace sysbox::seccomp

#pragma once

// Short messages between sysbox-runc, its mount helper and the container's init while a container
// is born. A SOCK_SEQPACKET pair: one message is one packet, with descriptors if need be.

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/result.h"
#include "common/syscalls.h"
#include "common/unique_fd.h"

namespace sysbox::runc {

enum class Step : std::uint8_t {
  kFailed,    // text: the error; ends everything
  kChild,     // helper → parent: number = init's pid on the host
  kBridge,    // helper → parent: number = pid of a short-lived child that is to be reaped
  kGo,        // the step before is done, go on
  kNetwork,   // init → helper: its network namespace is made
  kHooks,     // helper → parent: mounts are there, the old root too: run the hooks
  kMounts,    // helper → init: descriptors of detached mounts, in the plan's order
  kPivoted,   // helper → parent: the root file system is in place; the container's own overlay
  kPrepared,  // init → parent: all mounts are in place
  kConsole,   // init → parent: the pseudo-terminal's master
  kListener,  // init → parent: the seccomp listener
  kReady,     // init → parent: waits to be started, or is about to execve
};

struct StepMessage {
  Step step = Step::kFailed;
  std::int64_t number = 0;
  std::string text;
  std::vector<UniqueFd> fds;
};

class Channel {
 public:
  static Result<std::pair<Channel, Channel>> make_pair();
  explicit Channel(UniqueFd socket) : socket_(std::move(socket)) {}
  Channel() = default;

  Result<void> send(Step step, std::int64_t number = 0, std::span<const int> fds = {});
  // Tells the other side about a failure; a side that is gone is not an error.
  void send_failure(const Error& error);
  // The next message. A kFailed one is returned as its error; the other side's end as
  // ECONNRESET "<who> ended unexpectedly".
  Result<StepMessage> receive(std::string_view who);
  // The same, and anything but `step` is EPROTO.
  Result<StepMessage> expect(Step step, std::string_view who);

  int fd() const { return socket_.get(); }
  void close() { socket_.reset(); }

 private:
  UniqueFd socket_;
};

}  // namespace sysbox::runc

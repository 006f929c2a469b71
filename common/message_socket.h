#pragma once

// Messages with descriptors over a Unix stream socket, framed as Varlink frames them: one JSON
// text ended by a NUL byte (https://varlink.org/Method-Call). Descriptors travel by SCM_RIGHTS
// with the message's first byte. Calls and replies alternate, so that descriptors belong to the one
// message that is on its way.

#include <sys/socket.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/passed_fds.h"
#include "common/result.h"
#include "common/syscalls.h"
#include "common/unique_fd.h"

namespace sysbox {

// What one message may hold: bounds what a peer can make us allocate.
inline constexpr std::size_t kMaxMessageBytes = 4U << 20U;

// Splits a byte stream at NUL bytes. Pure: no I/O.
class MessageFramer {
 public:
  // EMSGSIZE if an unfinished message grows past kMaxMessageBytes.
  Result<void> feed(std::string_view bytes);
  // The next whole message, without its NUL.
  std::optional<std::string> next();

 private:
  std::string pending_;
  std::size_t searched_ = 0;
};

struct Message {
  std::string text;
  std::vector<UniqueFd> fds;
};

class MessageSocket {
 public:
  // Takes over a connected socket.
  explicit MessageSocket(UniqueFd socket) : socket_(std::move(socket)) {}

  // ENOENT or ECONNREFUSED if nobody listens at `path`.
  static Result<MessageSocket> connect(const std::string& path, Deadline deadline);

  int fd() const { return socket_.get(); }

  // ETIMEDOUT after the deadline; the connection is of no use after any error.
  Result<void> send(std::string_view text, std::span<const int> fds, Deadline deadline);
  // ECONNRESET when the peer has closed.
  Result<Message> receive(Deadline deadline);

  // Who is at the other end (SO_PEERCRED).
  Result<struct ucred> peer() const;

 private:
  Result<void> receive_some(Deadline deadline);

  UniqueFd socket_;
  MessageFramer framer_;
  std::vector<UniqueFd> fds_;
};

}  // namespace sysbox

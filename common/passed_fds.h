#pragma once

// Descriptors that go along with a message over a Unix socket: SCM_RIGHTS (unix(7), cmsg(3)).

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <span>

namespace sysbox {

// The kernel's own limit for one SCM_RIGHTS message (SCM_MAX_FD, unix(7)).
inline constexpr std::size_t kMaxMessageFds = 253;

// The control part of one message: must live until the message is sent.
class PassedFds {
 public:
  // At most kMaxMessageFds; they stay the caller's. None: the message is left as it is.
  void attach_to(struct msghdr& message, std::span<const int> fds);

 private:
  alignas(struct cmsghdr) std::array<char, CMSG_SPACE(kMaxMessageFds * sizeof(int))> bytes_{};
};

}  // namespace sysbox

// Bootstrap messages: what a process that is being born, and may have been taken over, sends.

#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "runc-ext/init/channel.h"

namespace sysbox::runc {
namespace {

constexpr std::size_t kMaxPacket = 16384;  // more than a message can be
constexpr std::size_t kMaxFds = 250;

void require(bool holds) {
  if (!holds) std::abort();
}

void send_packet(int socket, const std::uint8_t* data, std::size_t size, std::size_t fd_count) {
  struct iovec part {
    const_cast<std::uint8_t*>(data), size
  };
  std::vector<char> control(CMSG_SPACE(kMaxFds * sizeof(int)));
  struct msghdr message {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd_count > 0) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    struct cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    std::fill_n(reinterpret_cast<int*>(CMSG_DATA(rights)), fd_count, socket);
  }
  static_cast<void>(::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
}

}  // namespace
}  // namespace sysbox::runc

// Packets, each with two bytes for its length and one for the number of its descriptors.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sysbox;
  using namespace sysbox::runc;
  auto [ours, theirs] = sys::socketpair(SOCK_SEQPACKET).value();
  Channel channel(std::move(ours));
  while (size >= 3) {
    const std::size_t wanted = (static_cast<std::size_t>(data[0]) << 8U | data[1]) % kMaxPacket;
    const std::size_t fds = data[2] % kMaxFds;
    data += 3;
    size -= 3;
    const std::size_t length = std::min(wanted, size);
    send_packet(theirs.get(), data, length, fds);
    data += length;
    size -= length;
    ::shutdown(theirs.get(), size < 3 ? SHUT_WR : -1);
    const Result<StepMessage> message = channel.receive("the fuzzer");
    if (!message.ok()) {
      require(message.error().code() > 0);
      continue;
    }
    require(message.value().fds.size() <= fds && message.value().text.size() <= length);
    require(message.value().step != Step::kFailed);
  }
  return 0;
}

#include "common/passed_fds.h"

#include <cstring>

namespace sysbox {

void PassedFds::attach_to(struct msghdr& message, std::span<const int> fds) {
  if (fds.empty()) return;
  message.msg_control = bytes_.data();
  message.msg_controllen = CMSG_SPACE(fds.size_bytes());
  struct cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(fds.size_bytes());
  std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
}

}  // namespace sysbox

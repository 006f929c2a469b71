#pragma once

// Socket activation (sd_listen_fds(3)): descriptors 3 … that systemd gave to us are for the
// container's process.

#include <string>
#include <vector>

namespace sysbox::runc {

struct ListenFds {
  int count = 0;  // from descriptor 3 on; the commands count them into preserve_fds
  // What the process's environment gets: LISTEN_FDS, LISTEN_PID=1 and LISTEN_FDNAMES.
  std::vector<std::string> env;
};

// Nothing if LISTEN_PID does not name this process.
ListenFds find_listen_fds();

}  // namespace sysbox::runc

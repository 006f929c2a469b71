#pragma once

// The container's terminal: a pseudo-terminal whose slave is the process's standard streams and
// whose master goes to the engine's --console-socket, or to our own terminal (foreground.h).

#include <string>

#include "common/result.h"
#include "common/unique_fd.h"
#include "runc-ext/oci/process.h"

namespace sysbox::runc {

// Whether a terminal, --detach and --console-socket go together; runc's rules and words. `create`
// counts as detached.
Result<void> check_console_options(bool terminal, bool detach, const std::string& console_socket);

// Connects to the engine's console socket, before anything is made that a failure would have to
// undo. The socket may be inherited by the process that has the master in the end.
Result<UniqueFd> connect_console_socket(const std::string& path_on_host);
// Sends the master over the connected socket as runc does: SCM_RIGHTS with its name as the data.
Result<void> send_console(int socket_fd, int master_fd);

struct Console {
  UniqueFd master;
  UniqueFd slave;
};
// A new pair of the devpts that `ptmx_path` belongs to. The slave is opened by its master
// (TIOCGPTPEER), so no path of the container is followed.
Result<Console> open_console(const std::string& ptmx_path = "/dev/ptmx");

Result<void> set_console_size(int console_fd, const OciConsoleSize& size);

// For the process itself, before it runs its program: a session of its own with the slave as the
// controlling terminal and as descriptors 0, 1 and 2.
Result<void> take_console(int slave_fd);

}  // namespace sysbox::runc

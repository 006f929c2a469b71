#pragma once

// The container's terminal: a pseudo-terminal whose slave is the process's standard streams and
// whose master goes to the engine's --console-socket, or to our own terminal (foreground.h).

#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"
#include "runc-ext/oci/process.h"

namespace sysbox::runc {

// Whether a terminal, --detach and --console-socket go together; runc's rules and words. `create`
// counts as detached.
Result<void> check_console_options(bool terminal, bool detach, const std::string& console_socket);

// Connects to a socket on which an engine waits for a descriptor, before anything is made that a
// failure would have to undo. `what` names it in errors: "console socket".
Result<UniqueFd> connect_engine_socket(const std::string& path_on_host, std::string_view what);
// Sends the descriptor as runc does: SCM_RIGHTS with a name as the data.
Result<void> send_named_fd(int socket_fd, std::string_view name, int fd);
// Engines log it; the descriptor is what counts.
constexpr std::string_view kConsoleName = "/dev/ptmx";

struct Console {
  UniqueFd master;
  UniqueFd slave;
};
// A new pair of the devpts that `ptmx_path` belongs to. The slave is opened by its master
// (TIOCGPTPEER), so no path of the container is followed.
Result<Console> open_console(const std::string& ptmx_path = "/dev/ptmx");

Result<void> set_console_size(int console_fd, const OciConsoleSize& size);

// The size of our own terminal, if one of our standard streams is one.
void copy_own_terminal_size(int console_fd);

// The terminal sends "\n" as it is: ours makes "\r\n" of it, a file or a pipe gets what was
// written.
void keep_line_ends(int console_fd);

// For the process itself, before it runs its program: a session of its own with the slave as the
// controlling terminal and as descriptors 0, 1 and 2.
Result<void> take_console(int slave_fd);

}  // namespace sysbox::runc

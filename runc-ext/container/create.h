#pragma once

// The making of a container, up to where its init waits for `start`.

#include <sys/types.h>

#include "common/result.h"
#include "common/unique_fd.h"
#include "runc-ext/container/container.h"

namespace sysbox::runc {

struct CreatedContainer {
  pid_t init_pid = 0;       // a child of ours
  UniqueFd console_master;  // foreground terminals only
};

// Who gets the terminal's master, if the process has a terminal.
enum class Terminal {
  kHandedOver,  // the engine, by --console-socket
  kOurs,        // the caller, who relays it
};

// Undoes all it made on failure.
Result<CreatedContainer> make_container(const RuntimeOptions& runtime, const CreateOptions& options,
                                        Terminal terminal);

}  // namespace sysbox::runc

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

// Takes away all that belongs to a container that does not run: cgroups, registrations, state.
// Goes on after a failure and returns the first one.
Result<void> destroy_container(const RuntimeOptions& runtime, const StateDir& directory,
                               const ContainerRecord& record);

// After the container is gone; failures are only logged, as the specification wants it.
void run_poststop_hooks(const ContainerRecord& record);

// The state as hooks and people see it.
OciState state_of(const ContainerRecord& record, ContainerStatus status);

// Writes the pid of a new process as the engine wants it, whole or not at all.
Result<void> write_pid_file(const std::string& path, pid_t pid);

// Gives pipes that are the standard streams to the process's user, who could not open
// /dev/stdout otherwise.
void give_stdio_to(uid_t host_uid, gid_t host_gid);

}  // namespace sysbox::runc

#pragma once

// What a new process, init or exec'ed, hands to its makers before it runs its program: the
// terminal's master, the seccomp listener, and a pidfd for the engine. And what they do for the
// engine and for it: the file with its pid, its standard streams.

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "fs-emulator/api_client.h"
#include "runc-ext/container/container.h"
#include "runc-ext/init/channel.h"
#include "runc-ext/oci/seccomp.h"
#include "runc-ext/oci/state_json.h"

namespace sysbox::runc {

class Handover {
 public:
  Handover(fs::Client& emulator, std::string container_id)
      : emulator_(emulator), container_id_(std::move(container_id)) {}

  // Before the process is made: a failure then has nothing to undo. With a profile that asks for a
  // listener the agent that it names gets it, and sysbox-fs none.
  Result<void> connect(const EngineSockets& sockets, const std::optional<OciSeccomp>& seccomp);
  // Before follow(): whose listener it will be, for the agent; `state`: of the container.
  void tell_of_process(pid_t pid, OciState state);
  // `name` tells the engine what kind of process it is: runc's "standard" or "setns".
  Result<void> give_pidfd(int pidfd, std::string_view name);

  // Follows the process's messages up to kReady. Those that are not of a handover (kPrepared) go
  // to `other`, a function of StepMessage& that returns Result<void>.
  template <typename Other>
  Result<void> follow(Channel& process, std::string_view who, Other other) {
    for (;;) {
      StepMessage message = TRY(process.receive(who));
      if (message.step == Step::kReady) return {};
      if (message.step == Step::kConsole) {
        TRY(take_console(message));
      } else if (message.step == Step::kListener) {
        TRY(take_listener(message));
      } else {
        TRY(other(message));
      }
    }
  }

  // The master of the terminal if no engine has got it.
  UniqueFd take_console_master() { return std::move(console_master_); }

 private:
  Result<void> take_console(StepMessage& message);
  Result<void> take_listener(StepMessage& message);

  fs::Client& emulator_;
  std::string container_id_;
  UniqueFd console_socket_;
  UniqueFd pidfd_socket_;
  UniqueFd agent_socket_;
  SeccompAgentMessage agent_message_;
  UniqueFd console_master_;
};

// Writes the pid of a new process as the engine wants it, whole or not at all.
Result<void> write_pid_file(const std::string& path, pid_t pid);

// Gives pipes that are the standard streams to the process's user, who could not open
// /dev/stdout otherwise.
void give_stdio_to(uid_t host_uid, gid_t host_gid);

}  // namespace sysbox::runc

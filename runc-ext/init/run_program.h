#pragma once

// The last steps of every process that sysbox-runc starts inside a container: its init, and what
// `exec` starts.

#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "runc-ext/init/channel.h"
#include "runc-ext/oci/process.h"
#include "runc-ext/oci/seccomp.h"

namespace sysbox::runc {

struct ProgramSetup {
  const OciProcess& process;
  const std::vector<std::string>& environment;  // of program_environment()
  const std::optional<OciSeccomp>& seccomp;
  const std::vector<std::string>& open_doors;  // of seccomp_doors.h
  const std::optional<unsigned long>& personality;
  const std::optional<UniqueFd>& host_proc;  // for security_label.h
  int preserve_fds = 0;
};

// The process's variables, each once (the last one counts), and HOME: of the container's
// /etc/passwd unless it is given, and "/" for a user who is not in there.
std::vector<std::string> program_environment(const OciProcess& process);

// The program's path: args[0] itself if it has a slash, else the first executable of that name in
// the environment's PATH. ENOENT and EACCES in runc's words, which engines turn into exit codes.
Result<std::string> find_program(const OciProcess& process);

// Closes every descriptor that is neither a standard stream nor preserved for the program nor one
// of `kept`: what is the host's must not be found in /proc/PID/fd (CVE-2024-21626).
Result<void> close_other_descriptors(int preserve_fds, std::vector<int> kept);

// Takes user, capabilities and filters; sends the seccomp listener to the parent (kListener).
// Descriptors above 2 + preserve_fds will not survive execve. Only system calls that any usable
// profile allows may follow.
Result<void> take_identity(const ProgramSetup& setup, Channel& parent);

// Replaces the process; returns only with an error.
Error run_program(const std::string& path, const ProgramSetup& setup);

}  // namespace sysbox::runc

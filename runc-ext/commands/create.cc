#include "runc-ext/commands/commands.h"

namespace sysbox::runc {

void add_create_flags(Flags& flags, CreateOptions& options) {
  flags.add("--bundle,-b", options.bundle, "directory of config.json [.]");
  flags.add("--config", options.config,
            "its name there, or an absolute path, as with crun [config.json]");
  flags.add("--console-socket", options.sockets.console,
            "socket that gets the master of the container's terminal");
  flags.add("--pidfd-socket", options.sockets.pidfd,
            "socket that gets a pidfd of the container's init");
  flags.add("--pid-file", options.pid_file, "file that gets the pid of the container's init");
  flags.add("--no-pivot", options.no_pivot, "accepted, but pivot_root is used all the same");
  flags.add("--no-new-keyring", options.no_new_keyring, "keep the caller's session keyring");
  flags.add("--preserve-fds", options.preserve_fds,
            "how many descriptors from 3 on the process inherits [0]");
}

Result<void> finish_create_options(const Invocation& call, const std::string& id,
                                   CreateOptions& options) {
  options.id = id;
  options.bundle = TRY(absolute_path(options.bundle.empty() ? "." : options.bundle));
  options.sockets.console = TRY(absolute_path(options.sockets.console));
  options.sockets.pidfd = TRY(absolute_path(options.sockets.pidfd));
  options.pid_file = TRY(absolute_path(options.pid_file));
  options.preserve_fds = TRY(call.passed_fds(options.preserve_fds));
  return {};
}

Result<int> create_command(Invocation& call) {
  CreateOptions options;
  add_create_flags(call.flags, options);
  const std::vector<std::string> arguments = TRY(call.parse(1, 1));
  TRY(finish_create_options(call, arguments[0], options));
  TRY(create_container(call.runtime, options));
  return 0;
}

}  // namespace sysbox::runc

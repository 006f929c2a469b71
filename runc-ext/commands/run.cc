#include "runc-ext/commands/commands.h"

namespace sysbox::runc {

Result<int> run_command(Invocation& call) {
  RunOptions options;
  add_create_flags(call.flags, options.create);
  call.flags.add("--detach,-d", options.detach, "do not wait for the container's end");
  call.flags.add("--keep", options.keep, "do not delete the container after its end");
  call.flags.add("--no-subreaper", options.no_subreaper,
                 "do not adopt processes that the container leaves behind");
  const std::vector<std::string> arguments = TRY(call.parse(1, 1));
  TRY(finish_create_options(call, arguments[0], options.create));
  return run_container(call.runtime, options);
}

}  // namespace sysbox::runc

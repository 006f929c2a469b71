#include "runc-ext/commands/commands.h"

namespace sysbox::runc {

Result<int> delete_command(Invocation& call) {
  bool force = false;
  call.flags.add("--force,-f", force, "kill the container first if it still runs");
  const std::vector<std::string> arguments = TRY(call.parse(1, 1));
  TRY(delete_container(call.runtime, arguments[0], force));
  return 0;
}

}  // namespace sysbox::runc

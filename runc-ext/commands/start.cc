#include "runc-ext/commands/commands.h"

namespace sysbox::runc {

Result<int> start_command(Invocation& call) {
  const std::vector<std::string> arguments = TRY(call.parse(1, 1));
  TRY(start_container(call.runtime, arguments[0]));
  return 0;
}

}  // namespace sysbox::runc

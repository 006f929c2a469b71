#include "runc-ext/commands/commands.h"

namespace sysbox::runc {

Result<int> state_command(Invocation& call) {
  const std::vector<std::string> arguments = TRY(call.parse(1, 1));
  const ContainerView view = TRY(view_container(call.runtime, arguments[0]));
  TRY(print(state_for_people(view.state) + "\n"));
  return 0;
}

}  // namespace sysbox::runc

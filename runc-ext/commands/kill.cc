#include "runc-ext/commands/commands.h"
#include "runc-ext/commands/signal_names.h"

namespace sysbox::runc {

Result<int> kill_command(Invocation& call) {
  bool all = false;
  call.flags.add("--all,-a", all, "send it to every process of the container");
  const std::vector<std::string> arguments = TRY(call.parse(1, 2));
  const int signal = TRY(parse_signal(arguments.size() > 1 ? arguments[1] : "TERM"));
  TRY(kill_container(call.runtime, arguments[0], signal, all));
  return 0;
}

}  // namespace sysbox::runc

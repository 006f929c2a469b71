#include "runc-ext/commands/commands.h"

namespace sysbox::runc {
namespace {

// Whatever else the line holds: its flags are of no consequence.
bool asks_for_help(const Invocation& call) {
  for (const std::string& word : call.words) {
    if (word == "-h" || word == "--help" || word == "-help") return true;
  }
  return false;
}

Result<int> refuse(Invocation& call, std::string_view why) {
  if (asks_for_help(call)) TRY(call.flags.parse({"--help"}, FlagPlace::kAnywhere));
  return Error(ENOTSUP, std::string(why));
}

}  // namespace

Result<int> checkpoint_command(Invocation& call) {
  return refuse(call,
                "checkpoint is not supported: what sysbox-fs serves inside a container cannot "
                "be saved; stop the container and start it again instead");
}

Result<int> restore_command(Invocation& call) {
  return refuse(call,
                "restore is not supported, and neither is checkpoint; create the container "
                "anew instead");
}

Result<int> init_command(Invocation& call) {
  return refuse(call, "init is internal to the runtime; use create, run or exec");
}

}  // namespace sysbox::runc

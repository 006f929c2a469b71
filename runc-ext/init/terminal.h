#pragma once

#include "common/result.h"
#include "runc-ext/init/channel.h"
#include "runc-ext/oci/process.h"

namespace sysbox::runc {

enum class ConsoleNode { kKeep, kReplace };

// If the process wants a terminal: a new pseudo-terminal of the container's own devpts, its
// master sent to the parent (kConsole), its slave the process's standard streams and controlling
// terminal, and with kReplace also /dev/console.
Result<void> set_up_terminal(const OciProcess& process, ConsoleNode node, Channel& parent);

}  // namespace sysbox::runc

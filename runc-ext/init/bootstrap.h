#pragma once

// The two processes that a container is born from. The helper works in a private mount namespace
// owned by the host's user namespace; the init is cloned from it into the container's namespaces
// and becomes the container's first process. Both are children of the caller.
//
// The order is the security argument: what the helper mounts before the init makes its own copy
// of the mount namespace is locked by the kernel, because that copy belongs to another user
// namespace (mount_namespaces(7), "Restrictions on mount namespaces").

#include <sys/types.h>

#include "common/result.h"
#include "runc-ext/init/birth_plan.h"
#include "runc-ext/init/channel.h"

namespace sysbox::runc {

struct Birth {
  pid_t helper = -1;  // a child to be reaped; ends by itself
  Channel helper_channel;
  Channel init_channel;
};

// Forks the helper, which does all its steps and exits. Messages on helper_channel, in order:
// what await_init() takes … caller: kGo … kHooks … caller: kGo … kPivoted (with a
// detached mount of the container's own overlay, if there is one), end. On init_channel:
// kPrepared, [kConsole], kListener, kReady, end (execve). A kFailed may come at any point.
// The calling process must have a single thread.
Result<Birth> start_birth(const BirthPlan& plan);

// The init's pid, as soon as it exists.
Result<pid_t> await_init(Birth& birth);

}  // namespace sysbox::runc

#pragma once

// A process that joins a running container: what `exec` starts.

#include <sys/types.h>

#include "common/result.h"
#include "common/unique_fd.h"
#include "runc-ext/cgroup/cgroup.h"
#include "runc-ext/init/channel.h"
#include "runc-ext/oci/process.h"
#include "runc-ext/oci/seccomp.h"

namespace sysbox::runc {

struct JoinPlan {
  OciProcess process;
  std::optional<OciSeccomp> seccomp;
  std::vector<std::string> open_doors;
  std::optional<unsigned long> personality;
  std::string id;
  UniqueFd init_pidfd;
  CgroupEntrance cgroup_entrance;
  std::optional<UniqueFd> host_proc;  // for security_label.h
  int preserve_fds = 0;
};

struct Joining {
  pid_t joiner = -1;  // a child to be reaped; ends by itself
  Channel joiner_channel;
  Channel process_channel;
};

// Forks the joiner, which enters the container's cgroups and all namespaces of its init, and
// clones the process from within, as a child of the caller. joiner_channel: kChild (pid on the
// host). process_channel: caller: kGo (attributes set from outside) … [kConsole], kListener, kReady
// … caller: kGo … end (execve) or kFailed.
Result<Joining> start_joining(const JoinPlan& plan);

}  // namespace sysbox::runc

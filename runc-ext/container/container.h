#pragma once

// One container's life, seen from the host: what each command of sysbox-runc calls.

#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "runc-ext/container/state_dir.h"
#include "runc-ext/container/sub_cgroup.h"
#include "runc-ext/oci/state_json.h"

namespace sysbox::runc {

// The global flags.
struct RuntimeOptions {
  std::string root = "/run/sysbox-runc";
  bool systemd_cgroup = false;
  std::string manager_socket;   // of sysbox-mgr
  std::string emulator_socket;  // of sysbox-fs
};

// Sockets on which the engine waits for descriptors; "" where there is none.
struct EngineSockets {
  std::string console;  // gets the terminal's master
  std::string pidfd;    // gets a pidfd of the process
};

struct CreateOptions {
  std::string id;
  std::string bundle = ".";            // made absolute by the callee
  std::string config = "config.json";  // absolute, or in the bundle
  EngineSockets sockets;
  std::string pid_file;
  int preserve_fds = 0;  // beside 0-2
  bool no_pivot = false;
  bool no_new_keyring = false;
};

struct RunOptions {
  CreateOptions create;
  bool detach = false;
  bool keep = false;
  bool no_subreaper = false;
};

struct ExecOptions {
  std::string id;
  OciProcess process;  // complete: from --process or from the container's own plus flags
  std::vector<std::string> open_doors;  // of the container, see seccomp_doors.h
  int oom_score_floor = 0;
  EngineSockets sockets;
  SubCgroups sub_cgroups;
  std::string pid_file;
  int preserve_fds = 0;
  bool detach = false;
  bool ignore_paused = false;
  bool no_subreaper = false;
};

// create and run undo everything they made when they fail.
Result<void> create_container(const RuntimeOptions& runtime, const CreateOptions& options);
Result<void> start_container(const RuntimeOptions& runtime, const std::string& id);
// The exit code of the container's process (128 + signal if one killed it); 0 if detached.
Result<int> run_container(const RuntimeOptions& runtime, const RunOptions& options);
Result<int> exec_in_container(const RuntimeOptions& runtime, const ExecOptions& options);
// ESRCH-coded "container not running" as runc says it.
Result<void> kill_container(const RuntimeOptions& runtime, const std::string& id, int signal,
                            bool all);
Result<void> delete_container(const RuntimeOptions& runtime, const std::string& id, bool force);

struct ContainerView {
  OciState state;
  ContainerRecord record;
};
Result<ContainerView> view_container(const RuntimeOptions& runtime, const std::string& id);

}  // namespace sysbox::runc

#pragma once

// The state of a container as JSON: what `state` prints and hooks get on stdin
// (runtime.md#state, plus runc's own members), and what is saved as state.json.

#include <map>
#include <string>

#include "common/result.h"

namespace sysbox::runc {

struct OciState {
  std::string oci_version;
  std::string id;
  std::string status;  // creating created running stopped paused
  int pid = 0;         // on the host; 0 when stopped
  std::string bundle;
  std::string rootfs;
  std::string created;  // RFC 3339, nanoseconds, UTC
  std::string owner;    // user name; may be empty
  std::map<std::string, std::string> annotations;
};

// "Container process state" (config-linux.md#containerprocessstate): what a seccomp agent gets with
// the listener.
struct SeccompAgentMessage {
  int pid = 0;  // of the process with the filter, on the host
  std::string metadata;
  OciState state;
};
std::string text_for_seccomp_agent(const SeccompAgentMessage& message);

// What `sysbox-runc state` prints: the specification's members and runc's.
std::string state_for_people(const OciState& state);
// What hooks read: the specification's members only, on one line.
std::string state_for_hooks(const OciState& state);

}  // namespace sysbox::runc

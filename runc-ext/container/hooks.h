#pragma once

// Runs the hooks of config.json (runtime.md#lifecycle).
//
// They run in the caller's namespaces, with its root directory and credentials: what runs in the
// container (createContainer, startContainer) is called by the process that is inside already.
// No /proc is needed. The calling process must have a single thread, and no other child of it
// may be waited for meanwhile.

#include <string>
#include <vector>

#include "common/result.h"
#include "runc-ext/oci/hooks.h"
#include "runc-ext/oci/state_json.h"

namespace sysbox::runc {

// Where hooks start, and the environment of those that have none of their own.
struct HookPlace {
  std::string directory;  // "": the caller's
  std::vector<std::string> default_env;
};

// As runc has it for hooks of the runtime's namespaces: in the bundle, with our own environment.
HookPlace place_in_bundle(const std::string& bundle);

// One after the other: the state on standard input, no other descriptor than 0-2, default signal
// handling. Stops at the first that fails; the error names it, counting from 0 as runc does
// ("error running prestart hook #1: /usr/bin/x: exit status 3: <its last line of output>").
// A hook that outlasts its timeout is killed with its process group; ETIMEDOUT.
// `kind` is the member's name in config.json: "createRuntime".
Result<void> run_hooks(const std::vector<OciHook>& hooks, const OciState& state, const char* kind,
                       const HookPlace& place);

// The same for hooks whose failure does not stop the others (poststop): every hook is run, what
// failed is returned for the caller to log.
std::vector<Error> run_all_hooks(const std::vector<OciHook>& hooks, const OciState& state,
                                 const char* kind, const HookPlace& place);

}  // namespace sysbox::runc

#pragma once

// The commands. Each adds its flags to the call, parses the words and returns the exit code.

#include "common/result.h"
#include "runc-ext/cli.h"

namespace sysbox::runc {

Result<int> checkpoint_command(Invocation& call);
Result<int> create_command(Invocation& call);
Result<int> delete_command(Invocation& call);
Result<int> events_command(Invocation& call);
Result<int> exec_command(Invocation& call);
Result<int> features_command(Invocation& call);
Result<int> init_command(Invocation& call);
Result<int> kill_command(Invocation& call);
Result<int> list_command(Invocation& call);
Result<int> pause_command(Invocation& call);
Result<int> ps_command(Invocation& call);
Result<int> restore_command(Invocation& call);
Result<int> resume_command(Invocation& call);
Result<int> run_command(Invocation& call);
Result<int> spec_command(Invocation& call);
Result<int> start_command(Invocation& call);
Result<int> state_command(Invocation& call);
Result<int> update_command(Invocation& call);

// Flags that create and run share.
void add_create_flags(Flags& flags, CreateOptions& options);
// Completes the options after parsing.
Result<void> finish_create_options(const Invocation& call, const std::string& id,
                                   CreateOptions& options);

}  // namespace sysbox::runc

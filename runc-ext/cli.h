#pragma once

// sysbox-runc's command line: global flags, the commands, the log, and exit codes as runc's.

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "runc-ext/container/container.h"
#include "runc-ext/flags.h"

namespace sysbox::runc {

// One call of a command: it adds its flags, parses, and does its work.
struct Invocation {
  const RuntimeOptions& runtime;
  const std::vector<std::string>& words;  // all that follows the command's name
  std::string_view command;
  // How many descriptors from 3 on the caller has left open for us, without a gap.
  int inherited_fds = 0;
  Flags flags{};

  // The arguments, at least `min` and at most `max`. Ends the command if only help is wanted.
  Result<std::vector<std::string>> parse(std::size_t min, std::size_t max,
                                         FlagPlace place = FlagPlace::kAnywhere);

  // `preserve_fds` plus those of socket activation; EBADF if one of them is not open.
  Result<int> passed_fds(int preserve_fds) const;
};

// Runs one command line, without the program's name. Returns the exit code. Everything that goes
// wrong is one line in the log, and on standard error if that is not the log.
int run_command_line(const std::vector<std::string>& words);

// Writes to standard output.
Result<void> print(std::string_view text);

// The path from the current directory, clean; "" stays "".
Result<std::string> absolute_path(const std::string& path);

}  // namespace sysbox::runc

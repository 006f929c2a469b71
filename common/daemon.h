#pragma once

// What both daemons do around their work: one instance, a private listening socket, signals,
// and word to systemd (sd_notify(3)).

#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox::daemon {

// Holds PATH locked (flock) with our pid in it until the descriptor is closed, which is also at
// any death of the process. EBUSY names the pid that holds it: "… is already running (pid 12 …)".
Result<UniqueFd> take_instance_lock(const std::string& path);

// Makes the directory of `path` (0700) if it is missing, replaces a stale socket, and listens
// (socket mode 0600). Only the holder of the instance lock may call it.
Result<UniqueFd> listen_at(const std::string& path);

// Blocks SIGTERM and SIGINT in the calling thread and all that it starts; ignores SIGPIPE and
// SIGHUP. Call it before any thread.
void block_stop_signals();
// Waits for one of them and returns its number.
int wait_for_stop_signal();

void notify_ready(const std::string& status);  // READY=1
void notify_stopping();                        // STOPPING=1

// The words of the flags --log-level, --log-format and --log.
struct LogOptions {
  std::string level = "info";
  std::string format;  // text, json, journal; empty: journal if standard error is connected to
                       // the journal (JOURNAL_STREAM), else text
  std::string file;    // empty: standard error
};
// EINVAL names the bad word.
Result<void> set_up_log(const LogOptions& options);

// Raises the soft limit of descriptors to the hard one; it is often 1024 for select(2)'s sake,
// which is not used here.
void raise_descriptor_limit();

// The exit code for how the daemon ended. A failure is logged, and also told on standard error,
// where whoever started it by hand looks.
int exit_code(const std::string& program, const Result<void>& done);

}  // namespace sysbox::daemon

#pragma once

// A container as a later sysbox-fs has to know it, as text: what KeptState keeps.

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"
#include "fs-emulator/api.h"
#include "fs-emulator/sysctl_store.h"

namespace sysbox::fs {

// The first words on a FUSE connection: what the kernel asked (a whole INIT request), and which of
// the capabilities that it offered libfuse said yes to. A later session has to say the same.
struct FuseGreeting {
  std::string request;
  std::uint32_t capabilities = 0;
};

struct ContainerRecord {
  RegisterRequest request;
  FuseGreeting greeting;
  // Of the files' inodes: what the kernel knows of them.
  std::string numbering;
  std::uint64_t start_boot_ns = 0;
  std::int64_t boottime_offset_ns = 0;
  int init_pid = 0;
  std::string init_cgroups;  // its /proc/PID/cgroup when it was where the runtime put it
};

std::string record_text(const ContainerRecord& record);
Result<ContainerRecord> parse_record(const std::string& text);

std::string settings_text(const std::vector<SavedSysctl>& settings);
// No text: no settings.
Result<std::vector<SavedSysctl>> parse_settings(const std::string& text);

}  // namespace sysbox::fs

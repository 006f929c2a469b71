#pragma once

// Lines of /proc/PID/mountinfo (proc_pid_mountinfo(5)).

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace sysbox {

struct MountInfo {
  int mount_id = 0;
  int parent_id = 0;
  std::string device;       // "major:minor"
  std::string root;         // of the mount, inside its file system
  std::string target;       // as seen from the process's root
  std::string options;      // per mount: "rw,nosuid"
  std::string propagation;  // optional fields: "shared:1 master:2"
  std::string filesystem;
  std::string source;
  std::string superblock_options;
};

// One line; EINVAL if it is none. Octal escapes (\040) are undone in root, target and source.
Result<MountInfo> parse_mount_info_line(std::string_view line);
Result<std::vector<MountInfo>> parse_mount_info(std::string_view text);

// The value of `name=` in a comma list of options in which "\," stands for a comma; "" if absent.
std::string mount_option(std::string_view options, std::string_view name);

}  // namespace sysbox

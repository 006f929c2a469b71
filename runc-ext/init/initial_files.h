#pragma once

// Files that a container finds at its start in places that are empty at every start.

#include <string>
#include <vector>

#include "common/result.h"
#include "common/root_dir.h"

namespace sysbox::runc {

struct InitialFile {
  std::string place;  // a directory that is a tmpfs: "/run"; left alone if it is none
  std::string path;   // below it
  std::string text;
};

// By the container's init, when all is mounted. A file that is there already stays.
Result<void> write_initial_files(const RootDir& root, const std::vector<InitialFile>& files);

}  // namespace sysbox::runc

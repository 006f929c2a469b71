#pragma once

// What a directory holds.

#include <string>
#include <vector>

#include "common/root_dir.h"

namespace sysbox::runc {

// Without "." and "..", in no order; none if there is no such directory.
std::vector<std::string> directory_names(const RootDir& root, const std::string& path_inside);

}  // namespace sysbox::runc

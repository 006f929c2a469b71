#pragma once

// Walks one directory by descriptor.

#include <dirent.h>

#include <functional>

#include "common/result.h"

namespace sysbox {

// Calls `use` for each entry but "." and "..", and ends with its first error. The entries are
// not gathered first: a container decides how many there are. `use` may delete the entry.
Result<void> for_each_entry(int directory_fd,
                            const std::function<Result<void>(const struct dirent&)>& use);

Result<bool> is_empty_directory(int directory_fd);

}  // namespace sysbox

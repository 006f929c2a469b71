#pragma once

// Opens and walks one directory by descriptor.

#include <dirent.h>
#include <linux/openat2.h>

#include <cstdint>
#include <functional>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox {

// For openat2(2) below a directory whose content somebody else decides.
inline constexpr std::uint64_t kInsideOnly =
    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;

// ENOTDIR if `name` is a link, wherever it leads.
Result<UniqueFd> open_directory(int parent_fd, const std::string& name);

// Calls `use` for each entry but "." and "..", and ends with its first error. The entries are
// not gathered first: a container decides how many there are. `use` may delete the entry.
Result<void> for_each_entry(int directory_fd,
                            const std::function<Result<void>(const struct dirent&)>& use);

Result<bool> is_empty_directory(int directory_fd);

}  // namespace sysbox

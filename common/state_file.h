#pragma once

// Files that hold state: replaced as a whole, so that a reader or a crash never meets half of one.

#include <string>
#include <string_view>

#include "common/result.h"

namespace sysbox {

enum class Durability {
  kProcessCrash,  // survives kill -9: enough for what a reboot ends anyway
  kPowerLoss,     // fsync of file and directory as well
};

// Writes `text` to `name` in directory `dirfd` with mode 0600, by a temporary file and rename.
// On any error (ENOSPC …) the old file stands as it was and nothing is left beside it.
Result<void> replace_file(int dirfd, const std::string& name, std::string_view text,
                          Durability durability);

}  // namespace sysbox

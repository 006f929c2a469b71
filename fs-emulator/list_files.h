#pragma once

// The tables of emulated files for people: docs/emulated-files.md.

#include <string>

namespace sysbox::fs {

std::string list_files_as_markdown();

}  // namespace sysbox::fs

#pragma once

// The help texts, laid out as runc's: NAME, USAGE, DESCRIPTION, OPTIONS.

#include <string>
#include <string_view>

namespace sysbox::runc {

struct HelpPage {
  std::string_view command;    // "create"; "" for the program itself
  std::string_view arguments;  // "<container-id>"
  std::string_view summary;    // one line
  std::string options;         // of Flags::help()
  std::string commands;        // one line each; "" for a command
};

std::string help_text(const HelpPage& page);

}  // namespace sysbox::runc

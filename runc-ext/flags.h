#pragma once

// The flags of one command line (ours or one command's), with runc's syntax: --name=value,
// --name value, -n value, -name as well as --name; what is not a flag is an argument.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"

namespace CLI {
class App;
}

namespace sysbox::runc {

enum class FlagPlace {
  kAnywhere,         // before and between the arguments
  kBeforeArguments,  // what follows the first argument belongs to it, flags too (exec)
};

class Flags {
 public:
  Flags();
  ~Flags();
  Flags(const Flags&) = delete;
  Flags& operator=(const Flags&) = delete;

  // `names`: "--bundle,-b". The field keeps its value if the flag is not given.
  void add(const std::string& names, bool& field, const std::string& help);
  void add(const std::string& names, int& field, const std::string& help);
  void add(const std::string& names, std::string& field, const std::string& help);
  // May be given several times.
  void add(const std::string& names, std::vector<std::string>& field, const std::string& help);

  // Fills the fields and returns the arguments. EINVAL names an unknown flag, a missing or a bad
  // value; the fields of all other flags are filled even then.
  Result<std::vector<std::string>> parse(const std::vector<std::string>& words, FlagPlace place);

  // The help of a flag that the list leaves out.
  static constexpr const char* kHidden = "";

  // True after --help or -h.
  bool help_wanted() const { return help_wanted_; }
  // The list of flags, for people.
  std::string help() const;

 private:
  struct Known {
    std::string canonical;  // "--bundle"
    bool takes_value = false;
  };
  struct Split;
  struct Line {
    std::string names;  // "--bundle VALUE, -b VALUE"
    std::string help;
  };
  void remember(const std::string& names, bool takes_value, const std::string& help);
  Split split(const std::vector<std::string>& words, FlagPlace place) const;

  std::unique_ptr<CLI::App> parser_;
  std::map<std::string, Known> known_;  // by name without dashes
  std::vector<Line> lines_;
  bool help_wanted_ = false;
};

}  // namespace sysbox::runc

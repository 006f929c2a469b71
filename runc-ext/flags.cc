#include "runc-ext/flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <sstream>

namespace sysbox::runc {

// CLI11 converts and documents. Which word is a flag and which an argument is decided here: it
// knows neither "-bundle" nor a command whose arguments look like flags of ours.
struct Flags::Split {
  std::vector<std::string> flags;  // "--name=value" or "--name", for CLI11
  std::vector<std::string> arguments;
  std::optional<Error> error;

  // As one word, or a value that begins with a dash would be taken for a flag; but CLI11 takes
  // "--name=" for a missing value.
  void add(const std::string& name, const std::string& value) {
    if (value.empty()) {
      flags.insert(flags.end(), {name, ""});
    } else {
      flags.push_back(join(name, "=", value));
    }
  }
};

Flags::Flags() : parser_(std::make_unique<CLI::App>()) {
  parser_->set_help_flag();  // CLI11's own would throw
  add("--help,-h", help_wanted_, "show this help");
}
Flags::~Flags() = default;

void Flags::remember(const std::string& names, bool takes_value, const std::string& help) {
  std::vector<std::string> all;
  std::istringstream list(names);
  for (std::string name; std::getline(list, name, ',');) all.push_back(name);
  Line line{"", help};
  for (const std::string& name : all) {
    known_[name.substr(name.find_first_not_of('-'))] = {all.front(), takes_value};
    line.names += join(line.names.empty() ? "" : ", ", name, takes_value ? " value" : "");
  }
  lines_.push_back(std::move(line));
}

void Flags::add(const std::string& names, bool& field, const std::string& help) {
  remember(names, false, help);
  parser_->add_flag(names, field, help);
}

void Flags::add(const std::string& names, int& field, const std::string& help) {
  remember(names, true, help);
  parser_->add_option(names, field, help)->take_last();
}

// Texts by a function of our own: CLI11 gives "{}" and "[…]" a meaning.
void Flags::add(const std::string& names, std::string& field, const std::string& help) {
  remember(names, true, help);
  parser_
      ->add_option(
          names,
          [&field](const CLI::results_t& values) {
            field = values.back();
            return true;
          },
          help)
      ->type_name("TEXT")
      ->take_all()
      ->allow_extra_args(false);
}

void Flags::add(const std::string& names, std::vector<std::string>& field,
                const std::string& help) {
  remember(names, true, help + " (may be repeated)");
  parser_
      ->add_option(
          names,
          [&field](const CLI::results_t& values) {
            field = values;
            return true;
          },
          help + " (may be repeated)")
      ->type_name("TEXT")
      ->take_all()
      ->allow_extra_args(false);
}

Flags::Split Flags::split(const std::vector<std::string>& words, FlagPlace place) const {
  Split out;
  const auto fail = [&out](std::string what) {
    if (!out.error) out.error = Error(EINVAL, std::move(what));
  };
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const bool is_argument = word.size() < 2 || word.front() != '-';
    if (word == "--" || (is_argument && place == FlagPlace::kBeforeArguments)) {
      const std::size_t first = word == "--" ? i + 1 : i;
      out.arguments.insert(out.arguments.end(), words.begin() + static_cast<std::ptrdiff_t>(first),
                           words.end());
      break;
    }
    if (is_argument) {
      out.arguments.push_back(word);
      continue;
    }
    const std::string bare = word.substr(word[1] == '-' ? 2 : 1);
    const std::size_t equals = bare.find('=');
    const auto known = known_.find(bare.substr(0, equals));
    if (known == known_.end()) {
      fail(join("unknown flag '", word.substr(0, word.find('=')), "'"));
    } else if (equals != std::string::npos) {
      out.add(known->second.canonical, bare.substr(equals + 1));
    } else if (!known->second.takes_value) {
      out.flags.push_back(known->second.canonical);
    } else if (i + 1 < words.size()) {
      out.add(known->second.canonical, words[++i]);
    } else {
      fail(join("flag '", word, "' needs a value"));
    }
  }
  return out;
}

Result<std::vector<std::string>> Flags::parse(const std::vector<std::string>& words,
                                              FlagPlace place) {
  Split split_words = split(words, place);
  std::reverse(split_words.flags.begin(), split_words.flags.end());  // as CLI11 wants them
  try {
    parser_->parse(std::move(split_words.flags));
  } catch (const CLI::ParseError& mistake) {
    return Error(EINVAL, mistake.what());
  }
  if (split_words.error) return *std::move(split_words.error);
  return std::move(split_words.arguments);
}

std::string Flags::help() const {
  std::size_t width = 0;
  for (const Line& line : lines_) width = std::max(width, line.names.size());
  std::string text;
  // --help, the first one, comes last.
  for (std::size_t i = 1; i <= lines_.size(); ++i) {
    const Line& line = lines_[i % lines_.size()];
    if (line.help == kHidden) continue;
    text += join(text.empty() ? "   " : "\n   ", line.names,
                 std::string(width + 2 - line.names.size(), ' '), line.help);
  }
  return text;
}

}  // namespace sysbox::runc

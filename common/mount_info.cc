#include "common/mount_info.h"

#include <charconv>

namespace sysbox {
namespace {

std::string without_escapes(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '\\' && i + 3 < text.size() + 0 &&
        std::from_chars(&text[i + 1], &text[i + 1] + 3, value, 8).ptr == &text[i + 1] + 3 &&
        value < 256) {
      out += static_cast<char>(value);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string_view next_word(std::string_view& rest) {
  const std::size_t end = rest.find(' ');
  const std::string_view word = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return word;
}

bool parse_number(std::string_view text, int& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Result<MountInfo> parse_mount_info_line(std::string_view line) {
  MountInfo mount;
  std::string_view rest = line;
  const bool numbers = parse_number(next_word(rest), mount.mount_id) &&
                       parse_number(next_word(rest), mount.parent_id);
  mount.device = next_word(rest);
  mount.root = without_escapes(next_word(rest));
  mount.target = without_escapes(next_word(rest));
  mount.options = next_word(rest);
  for (;;) {
    if (rest.empty()) return Error(EINVAL, join("mountinfo: '", line, "' has no ' - '"));
    const std::string_view word = next_word(rest);
    if (word == "-") break;
    if (!mount.propagation.empty()) mount.propagation += ' ';
    mount.propagation += word;
  }
  mount.filesystem = next_word(rest);
  mount.source = without_escapes(next_word(rest));
  mount.superblock_options = rest;
  if (!numbers || mount.filesystem.empty()) {
    return Error(EINVAL, join("mountinfo: '", line, "' is not understood"));
  }
  return mount;
}

Result<std::vector<MountInfo>> parse_mount_info(std::string_view text) {
  std::vector<MountInfo> mounts;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    mounts.push_back(TRY(parse_mount_info_line(text.substr(0, end))));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return mounts;
}

std::string mount_option(std::string_view options, std::string_view name) {
  std::string option;
  const auto value_if_named = [&]() {
    return option.size() > name.size() && option.starts_with(name) && option[name.size()] == '='
               ? option.substr(name.size() + 1)
               : std::string();
  };
  for (std::size_t i = 0; i <= options.size(); ++i) {
    if (i == options.size() || options[i] == ',') {
      if (std::string value = value_if_named(); !value.empty()) return value;
      option.clear();
    } else if (options[i] == '\\' && i + 1 < options.size() && options[i + 1] == ',') {
      option += options[++i];
    } else {
      option += options[i];
    }
  }
  return {};
}

}  // namespace sysbox

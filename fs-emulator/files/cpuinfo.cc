#include <algorithm>
#include <map>

#include "fs-emulator/emulated_file.h"
#include "fs-emulator/text_fields.h"

namespace sysbox::fs {
namespace {

struct Processors {
  std::map<unsigned, std::string_view> blocks;  // by the host's number; without a blank line
  std::string_view tail;  // what belongs to no processor ("Hardware : …" on arm)
};

std::string_view key_of(std::string_view line) {
  std::string_view key = line.substr(0, line.find(':'));
  while (!key.empty() && (key.back() == ' ' || key.back() == '\t')) key.remove_suffix(1);
  return key;
}

std::string_view value_of(std::string_view line) {
  const std::size_t colon = line.find(':');
  return colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
}

Processors split_processors(std::string_view text) {
  Processors found;
  while (!text.empty()) {
    const std::size_t end = text.find("\n\n");
    const std::string_view block = text.substr(0, end == std::string_view::npos ? end : end + 1);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 2);
    std::string_view rest = block;
    const std::string_view first = next_line(rest);
    const auto number = parse_unsigned(value_of(first));
    if (key_of(first) == "processor" && number) {
      found.blocks.emplace(static_cast<unsigned>(*number), block);
    } else {
      found.tail = block;
    }
  }
  return found;
}

void append_with_value(std::string& out, std::string_view line, std::size_t value) {
  out += line.substr(0, line.find(':') + 1);
  out += join(" ", value, "\n");
}

void append_processor(std::string& out, std::string_view block, std::size_t index,
                      std::size_t count) {
  while (!block.empty()) {
    const std::string_view line = next_line(block);
    const std::string_view key = key_of(line);
    if (key == "processor") {
      append_with_value(out, line, index);
    } else if (key == "siblings" || key == "cpu cores") {
      // No more of them than there are processors.
      append_with_value(out, line, std::min(parse_unsigned(value_of(line)).value_or(1), count));
    } else {
      out += line;
      out += '\n';
    }
  }
}

}  // namespace

Result<std::string> read_cpuinfo(const ContainerView& container) {
  const std::string host = TRY(container.host_proc("cpuinfo"));
  const Processors processors = split_processors(host);
  const std::vector<unsigned> cpus = container.cpus().host_cpus;
  std::string out;
  for (std::size_t i = 0; i < cpus.size(); ++i) {
    // A cpu that went offline meanwhile is described by any other one.
    auto block = processors.blocks.find(cpus[i]);
    if (block == processors.blocks.end()) block = processors.blocks.begin();
    if (block == processors.blocks.end()) break;
    append_processor(out, block->second, i, cpus.size());
    out += '\n';
  }
  out += processors.tail;
  return out;
}

}  // namespace sysbox::fs

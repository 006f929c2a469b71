#include <map>
#include <set>
#include <vector>

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

// How the processors that are shown lie in packages ("physical id") and cores. Blocks that name
// neither, as on arm, are all of one package.
struct Topology {
  std::map<std::string_view, std::size_t> threads;  // by package
  std::map<std::string_view, std::set<std::string_view>> cores;
};

std::string_view line_value(std::string_view block, std::string_view key) {
  while (!block.empty()) {
    const std::string_view line = next_line(block);
    if (key_of(line) == key) return value_of(line);
  }
  return {};
}

Topology topology_of(const std::vector<std::string_view>& blocks) {
  Topology topology;
  for (const std::string_view block : blocks) {
    const std::string_view package = line_value(block, "physical id");
    ++topology.threads[package];
    topology.cores[package].insert(line_value(block, "core id"));
  }
  return topology;
}

void append_with_value(std::string& out, std::string_view line, std::size_t value) {
  out += line.substr(0, line.find(':') + 1);
  out += join(" ", value, "\n");
}

void append_processor(std::string& out, std::string_view block, std::size_t index,
                      const Topology& topology) {
  const std::string_view package = line_value(block, "physical id");
  while (!block.empty()) {
    const std::string_view line = next_line(block);
    const std::string_view key = key_of(line);
    if (key == "processor") {
      append_with_value(out, line, index);
    } else if (key == "siblings") {
      append_with_value(out, line, topology.threads.at(package));
    } else if (key == "cpu cores") {
      append_with_value(out, line, topology.cores.at(package).size());
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
  std::vector<std::string_view> shown;
  for (const unsigned cpu : container.cpus().host_cpus) {
    // A cpu that went offline meanwhile is described by any other one.
    auto block = processors.blocks.find(cpu);
    if (block == processors.blocks.end()) block = processors.blocks.begin();
    if (block != processors.blocks.end()) shown.push_back(block->second);
  }
  const Topology topology = topology_of(shown);
  std::string out;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    append_processor(out, shown[i], i, topology);
    out += '\n';
  }
  out += processors.tail;
  return out;
}

}  // namespace sysbox::fs

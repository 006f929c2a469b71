#pragma once

// Specs for tests: real engines' (the seeds of the fuzz target), and a small one to change.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "common/syscalls.h"
#include "runc-ext/oci/spec.h"

namespace sysbox::runc {

// "docker-20.10.json"
inline std::string spec_text(const std::string& name) {
  Result<std::string> text = sys::read_file(std::string(SPEC_CORPUS) + "/" + name);
  EXPECT_TRUE(text.ok()) << text.error().message();
  return std::move(text).value_or("");
}

inline OciSpec spec_of(const std::string& text) {
  Result<OciSpec> spec = parse_spec(text);
  EXPECT_TRUE(spec.ok()) << spec.error().message();
  return std::move(spec).value_or({});
}

inline nlohmann::json small_spec() {
  return nlohmann::json::parse(R"({
    "ociVersion": "1.0.2", "root": {"path": "rootfs"},
    "process": {"cwd": "/", "args": ["/bin/true"]},
    "linux": {"namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"},
                             {"type": "uts"}, {"type": "mount"}]}})");
}

// The small spec with the member at a JSON pointer ("/process/cwd") set to a JSON text; "" as
// the text removes the member.
inline nlohmann::json changed_spec(const std::string& pointer, const std::string& value) {
  nlohmann::json spec = small_spec();
  const nlohmann::json::json_pointer place(pointer);
  if (value.empty()) {
    spec.at(place.parent_pointer()).erase(place.back());
  } else {
    spec[place] = nlohmann::json::parse(value);
  }
  return spec;
}

}  // namespace sysbox::runc

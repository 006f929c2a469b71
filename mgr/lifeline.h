#pragma once

// Lifeline: the path whose end is the end of a container's data. Deciding that it is gone must
// never be wrong, or data of a living container is deleted: a file system that is not mounted
// yet, or a disk with another device number after a reboot, is no reason.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "common/result.h"

namespace sysbox::mgr {

struct Lifeline {
  std::string path;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t birth_ns = 0;  // 0: the file system does not tell
  // statfs(2) of the parent directory: which file system it was on.
  std::uint64_t file_system = 0;
  std::int64_t file_system_type = 0;

  bool operator==(const Lifeline&) const = default;
};

// ENOENT if nothing is there.
Result<Lifeline> look_at_lifeline(const std::string& path);

// True if `now` is what was recorded as `then`. Device numbers may change with a reboot, so they
// only count where the file system tells no time of birth.
bool is_same_lifeline(const Lifeline& then, const Lifeline& now);

// kUnknown: nothing is at the path, but the file system that it was on is not there either.
enum class LifelineState { kPresent, kGone, kUnknown };
LifelineState state_of(const Lifeline& lifeline);

nlohmann::json to_json(const Lifeline& lifeline);
Result<Lifeline> parse_lifeline(const nlohmann::json& json, const std::string& path);

// The directory that holds `path` ("/a/b" → "/a"), and the last component.
std::string parent_path(const std::string& path);
std::string last_component(const std::string& path);

}  // namespace sysbox::mgr

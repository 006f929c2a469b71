#pragma once

// Ranges of user and group ids, and the maps of a user namespace (user_namespaces(7)).

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"

namespace sysbox {

// `count` ids from `first` on.
struct IdRange {
  std::uint32_t first = 0;
  std::uint32_t count = 0;

  std::uint64_t end() const { return std::uint64_t{first} + count; }  // one past the last id
  bool contains(std::uint32_t id) const { return id >= first && id < end(); }
  bool overlaps(const IdRange& other) const { return first < other.end() && other.first < end(); }
  bool operator==(const IdRange&) const = default;
};

// One line of /proc/PID/uid_map.
struct IdMapEntry {
  std::uint32_t container_first = 0;
  std::uint32_t host_first = 0;
  std::uint32_t count = 0;

  bool operator==(const IdMapEntry&) const = default;
};

// A whole uid_map or gid_map. The kernel takes at most 340 lines (Linux 4.15).
struct IdMap {
  std::vector<IdMapEntry> entries;

  // Container id 0 … count-1 onto `range`.
  static IdMap onto(const IdRange& range) { return {{{0, range.first, range.count}}}; }

  // The host's id of a container id; nothing if it is not mapped.
  std::optional<std::uint32_t> to_host(std::uint32_t container_id) const;
  std::optional<std::uint32_t> to_container(std::uint32_t host_id) const;

  // The text to write to uid_map: "0 231072 65536\n".
  std::string text() const;

  // The host ids as one range, if the map is one block (adjacent lines are merged) that
  // starts at container id 0.
  std::optional<IdRange> as_single_range() const;

  bool operator==(const IdMap&) const = default;
};

}  // namespace sysbox

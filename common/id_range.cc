#include "common/id_range.h"

namespace sysbox {

std::optional<std::uint32_t> IdMap::to_host(std::uint32_t container_id) const {
  for (const IdMapEntry& entry : entries) {
    if (container_id >= entry.container_first &&
        container_id - entry.container_first < entry.count) {
      return entry.host_first + (container_id - entry.container_first);
    }
  }
  return std::nullopt;
}

std::optional<std::uint32_t> IdMap::to_container(std::uint32_t host_id) const {
  for (const IdMapEntry& entry : entries) {
    if (host_id >= entry.host_first && host_id - entry.host_first < entry.count) {
      return entry.container_first + (host_id - entry.host_first);
    }
  }
  return std::nullopt;
}

std::string IdMap::text() const {
  std::string text;
  for (const IdMapEntry& entry : entries) {
    text += join(entry.container_first, " ", entry.host_first, " ", entry.count, "\n");
  }
  return text;
}

std::optional<IdRange> IdMap::as_single_range() const {
  if (entries.empty() || entries.front().container_first != 0) return std::nullopt;
  IdRange whole{entries.front().host_first, 0};
  for (const IdMapEntry& entry : entries) {
    if (entry.container_first != whole.count || entry.host_first != whole.end()) {
      return std::nullopt;
    }
    whole.count += entry.count;
  }
  return whole;
}

}  // namespace sysbox

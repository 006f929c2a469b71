#include "runc-ext/oci/id_map.h"

#include <limits>

#include "common/json_fields.h"

namespace sysbox::runc {
namespace {

constexpr std::size_t kMaxLines = 340;  // Linux 4.15, user_namespaces(7)

Result<IdMapEntry> parse_entry(const nlohmann::json& entry, const std::string& path) {
  IdMapEntry out;
  JsonFields in(entry, path);
  in.required("containerID", out.container_first);
  in.required("hostID", out.host_first);
  in.required("size", out.count);
  if (out.count == 0) in.fail(in.path_of("size"), "is zero");
  // 4294967295 is no id: it is the kernel's "leave as it is".
  constexpr std::uint64_t kEnd = std::numeric_limits<std::uint32_t>::max();
  if (IdRange{out.container_first, out.count}.end() > kEnd ||
      IdRange{out.host_first, out.count}.end() > kEnd) {
    in.fail(in.path_of("size"), join(out.count, " ids do not fit below ", kEnd));
  }
  TRY(std::move(in).finish());
  return out;
}

bool overlap(const IdMapEntry& one, const IdMapEntry& other) {
  return IdRange{one.container_first, one.count}.overlaps({other.container_first, other.count}) ||
         IdRange{one.host_first, one.count}.overlaps({other.host_first, other.count});
}

}  // namespace

Result<IdMap> parse_id_map(const nlohmann::json& mappings, const std::string& path) {
  if (!mappings.is_array()) return Error(EINVAL, join(path, ": expected an array"));
  if (mappings.size() > kMaxLines) {
    return Error(EINVAL, join(path, ": more than ", kMaxLines, " mappings"));
  }
  IdMap map;
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    const std::string entry_path = join(path, "[", i, "]");
    const IdMapEntry entry = TRY(parse_entry(mappings[i], entry_path));
    for (std::size_t earlier = 0; earlier < i; ++earlier) {
      if (overlap(entry, map.entries[earlier])) {
        return Error(EINVAL, join(entry_path, ": overlaps ", path, "[", earlier, "]"));
      }
    }
    map.entries.push_back(entry);
  }
  return map;
}

}  // namespace sysbox::runc

#include "common/id_range_json.h"

#include <nlohmann/json.hpp>

#include "common/json_fields.h"

namespace sysbox {
namespace {

// (uid_t)-1 means "no id" to the kernel and cannot be mapped.
constexpr std::uint64_t kNoId = 0xffffffff;

}  // namespace

nlohmann::json to_json(const IdRange& range) {
  return {{"first", range.first}, {"count", range.count}};
}

Result<IdRange> parse_id_range(const nlohmann::json& json, const std::string& path) {
  IdRange range;
  JsonFields fields(json, path);
  fields.required("first", range.first);
  fields.required("count", range.count);
  TRY(std::move(fields).finish());
  if (range.count == 0) return Error(EINVAL, path + ".count: must not be 0");
  if (range.end() > kNoId) return Error(EINVAL, path + ": goes beyond the last id, 4294967294");
  return range;
}

}  // namespace sysbox

#include "fs-emulator/api_json.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/json_fields.h"

namespace sysbox::fs {
namespace {

constexpr std::size_t kMaxIdLength = 255;
// The kernel takes at most 340 lines of a map (Linux 4.15).
constexpr std::size_t kMaxMapEntries = 340;
constexpr std::size_t kMaxCgroups = 64;

bool is_id_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '+' || c == '.' || c == '-';
}

// runc's rule for ids.
Result<void> check_id(const std::string& id) {
  if (id.empty() || id.size() > kMaxIdLength || id == "." || id == ".." ||
      !std::all_of(id.begin(), id.end(), is_id_character)) {
    return Error(EINVAL, "id: has to be 1 to 255 letters, digits and _ + . -");
  }
  return {};
}

nlohmann::json map_json(const IdMap& map) {
  nlohmann::json array = nlohmann::json::array();
  for (const IdMapEntry& entry : map.entries) {
    array.push_back(
        {{"container", entry.container_first}, {"host", entry.host_first}, {"count", entry.count}});
  }
  return array;
}

Result<IdMapEntry> parse_map_entry(const nlohmann::json& json, const std::string& path) {
  IdMapEntry entry;
  JsonFields fields(json, path);
  fields.required("container", entry.container_first);
  fields.required("host", entry.host_first);
  fields.required("count", entry.count);
  TRY(std::move(fields).finish());
  constexpr std::uint64_t kEnd = std::numeric_limits<std::uint32_t>::max();
  if (entry.count == 0 || std::uint64_t{entry.container_first} + entry.count > kEnd ||
      std::uint64_t{entry.host_first} + entry.count > kEnd) {
    return Error(EINVAL, join(path, ": is not a range of ids"));
  }
  return entry;
}

Result<void> check_map(const std::string& name, const IdMap& map) {
  if (map.entries.size() > kMaxMapEntries)
    return Error(EINVAL, join(name, ": has too many entries"));
  if (!map.to_host(0)) return Error(EINVAL, join(name, ": does not map id 0"));
  return {};
}

Result<Piece> parse_piece(const nlohmann::json& json, const std::string& path) {
  Piece piece;
  JsonFields fields(json, path);
  fields.required("filesystem", piece.filesystem);
  fields.required("target", piece.target);
  fields.required("source", piece.source);
  TRY(std::move(fields).finish());
  return piece;
}

Result<ListedContainer> parse_listed(const nlohmann::json& json, const std::string& path) {
  ListedContainer container;
  JsonFields fields(json, path);
  fields.required("id", container.id);
  fields.required("init_pid", container.init_pid);
  TRY(std::move(fields).finish());
  return container;
}

}  // namespace

nlohmann::json to_json(const RegisterRequest& request) {
  return {{"id", request.id},
          {"uid_map", map_json(request.uid_map)},
          {"gid_map", map_json(request.gid_map)},
          {"cgroups", request.cgroups},
          {"shows_hardware", request.shows_hardware}};
}

nlohmann::json to_json(const std::vector<Piece>& pieces) {
  nlohmann::json array = nlohmann::json::array();
  for (const Piece& piece : pieces) {
    array.push_back(
        {{"filesystem", piece.filesystem}, {"target", piece.target}, {"source", piece.source}});
  }
  return {{"pieces", std::move(array)}};
}

nlohmann::json to_json(const std::vector<ListedContainer>& containers) {
  nlohmann::json array = nlohmann::json::array();
  for (const ListedContainer& container : containers) {
    array.push_back({{"id", container.id}, {"init_pid", container.init_pid}});
  }
  return {{"containers", std::move(array)}};
}

nlohmann::json to_json(const StartRequest& request) {
  return {{"id", request.id}, {"init_pid", request.init_pid}};
}

nlohmann::json id_request(const std::string& id) { return {{"id", id}}; }

Result<RegisterRequest> parse_register_request(const nlohmann::json& json) {
  RegisterRequest request;
  std::map<std::string, std::string> cgroups;
  JsonFields fields(json, "");
  fields.required("id", request.id);
  fields.optional_array("uid_map", request.uid_map.entries, parse_map_entry);
  fields.optional_array("gid_map", request.gid_map.entries, parse_map_entry);
  fields.optional("cgroups", cgroups);
  fields.optional("shows_hardware", request.shows_hardware);
  TRY(std::move(fields).finish());
  TRY(check_id(request.id));
  TRY(check_map("uid_map", request.uid_map));
  TRY(check_map("gid_map", request.gid_map));
  if (cgroups.size() > kMaxCgroups) return Error(EINVAL, "cgroups: has too many entries");
  for (auto& [controller, directory] : cgroups) {
    if (!directory.starts_with('/')) {
      return Error(EINVAL, join("cgroups.", controller, ": '", directory, "' is not absolute"));
    }
    request.cgroups.emplace(controller, std::move(directory));
  }
  return request;
}

Result<std::vector<Piece>> parse_pieces(const nlohmann::json& json) {
  std::vector<Piece> pieces;
  JsonFields fields(json, "");
  fields.optional_array("pieces", pieces, parse_piece);
  TRY(std::move(fields).finish());
  return pieces;
}

Result<std::vector<ListedContainer>> parse_list_reply(const nlohmann::json& json) {
  std::vector<ListedContainer> containers;
  JsonFields fields(json, "");
  fields.optional_array("containers", containers, parse_listed);
  TRY(std::move(fields).finish());
  return containers;
}

Result<StartRequest> parse_start_request(const nlohmann::json& json) {
  StartRequest request;
  JsonFields fields(json, "");
  fields.required("id", request.id);
  fields.required("init_pid", request.init_pid);
  TRY(std::move(fields).finish());
  TRY(check_id(request.id));
  if (request.init_pid <= 0) return Error(EINVAL, "init_pid: is not a process id");
  return request;
}

Result<std::string> parse_id_request(const nlohmann::json& json) {
  std::string id;
  JsonFields fields(json, "");
  fields.required("id", id);
  TRY(std::move(fields).finish());
  TRY(check_id(id));
  return id;
}

}  // namespace sysbox::fs

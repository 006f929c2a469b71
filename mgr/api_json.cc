#include "mgr/api_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/id_range_json.h"
#include "common/json_fields.h"

namespace sysbox::mgr {
namespace {

constexpr std::size_t kMaxIdLength = 255;

bool is_id_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '+' || c == '.' || c == '-';
}

nlohmann::json volumes_json(const std::vector<Volume>& volumes) {
  nlohmann::json array = nlohmann::json::array();
  for (const Volume& volume : volumes) {
    array.push_back({{"destination", volume.destination}, {"source", volume.source}});
  }
  return array;
}

Result<Volume> parse_volume(const nlohmann::json& json, const std::string& path) {
  Volume volume;
  JsonFields fields(json, path);
  fields.required("destination", volume.destination);
  fields.required("source", volume.source);
  TRY(std::move(fields).finish());
  return volume;
}

Result<ListedContainer> parse_listed_container(const nlohmann::json& json,
                                               const std::string& path) {
  ListedContainer container;
  JsonFields fields(json, path);
  fields.required("id", container.id);
  fields.required_object("uids", container.uids, parse_id_range);
  fields.required_object("gids", container.gids, parse_id_range);
  fields.optional_array("volumes", container.volumes, parse_volume);
  TRY(std::move(fields).finish());
  return container;
}

Result<void> check_absolute(const char* name, const std::string& path) {
  if (path.starts_with('/')) return {};
  return Error(EINVAL, join(name, ": '", path, "' is not an absolute path"));
}

Result<std::optional<IdRange>> parse_given_range(const nlohmann::json& json, const char* name) {
  std::optional<IdRange> range;
  JsonFields fields(json, "");
  fields.optional_object(name, range, parse_id_range);
  TRY(std::move(fields).finish());
  // Root inside would be root outside.
  if (range && range->first == 0) return Error(EINVAL, join(name, ": holds the host's id 0"));
  return range;
}

}  // namespace

nlohmann::json to_json(const RegisterRequest& request) {
  nlohmann::json json = {{"id", request.id},
                         {"rootfs", request.rootfs},
                         {"lifeline", request.lifeline},
                         {"own_destinations", request.own_destinations},
                         {"caller_pid", request.caller_pid}};
  if (!request.upper_layer.empty()) json["upper_layer"] = request.upper_layer;
  if (request.given_uids) json["given_uids"] = to_json(*request.given_uids);
  if (request.given_gids) json["given_gids"] = to_json(*request.given_gids);
  if (request.ids != 0) json["ids"] = request.ids;
  if (request.user_namespace != 0) json["user_namespace"] = request.user_namespace;
  return json;
}

nlohmann::json to_json(const RegisterReply& reply) {
  return {{"uids", to_json(reply.uids)},
          {"gids", to_json(reply.gids)},
          {"volumes", volumes_json(reply.volumes)}};
}

nlohmann::json to_json(const ListReply& reply) {
  nlohmann::json containers = nlohmann::json::array();
  for (const ListedContainer& container : reply.containers) {
    containers.push_back({{"id", container.id},
                          {"uids", to_json(container.uids)},
                          {"gids", to_json(container.gids)},
                          {"volumes", volumes_json(container.volumes)}});
  }
  return {{"containers", std::move(containers)},
          {"ranges", reply.ranges},
          {"free_ranges", reply.free_ranges}};
}

Result<RegisterRequest> parse_register_request(const nlohmann::json& json) {
  RegisterRequest request;
  JsonFields fields(json, "");
  fields.required("id", request.id);
  fields.required("rootfs", request.rootfs);
  fields.required("lifeline", request.lifeline);
  fields.optional("ids", request.ids);
  fields.optional("upper_layer", request.upper_layer);
  fields.optional("user_namespace", request.user_namespace);
  fields.optional("own_destinations", request.own_destinations);
  fields.optional("caller_pid", request.caller_pid);
  TRY(std::move(fields).finish());
  request.given_uids = TRY(parse_given_range(json, "given_uids"));
  request.given_gids = TRY(parse_given_range(json, "given_gids"));
  if (request.given_uids.has_value() != request.given_gids.has_value()) {
    return Error(EINVAL, "given_uids and given_gids: give both or none");
  }
  if (request.user_namespace != 0 && !request.given_uids) {
    return Error(EINVAL, "user_namespace: without its ids, given_uids and given_gids");
  }
  TRY(check_container_id(request.id).in("id"));
  TRY(check_absolute("rootfs", request.rootfs));
  TRY(check_absolute("lifeline", request.lifeline));
  if (!request.upper_layer.empty()) TRY(check_absolute("upper_layer", request.upper_layer));
  return request;
}

Result<RegisterReply> parse_register_reply(const nlohmann::json& json) {
  RegisterReply reply;
  JsonFields fields(json, "");
  fields.required_object("uids", reply.uids, parse_id_range);
  fields.required_object("gids", reply.gids, parse_id_range);
  fields.optional_array("volumes", reply.volumes, parse_volume);
  TRY(std::move(fields).finish());
  return reply;
}

Result<ListReply> parse_list_reply(const nlohmann::json& json) {
  ListReply reply;
  JsonFields fields(json, "");
  fields.optional_array("containers", reply.containers, parse_listed_container);
  fields.required("ranges", reply.ranges);
  fields.required("free_ranges", reply.free_ranges);
  TRY(std::move(fields).finish());
  return reply;
}

nlohmann::json id_request(const std::string& id) { return {{"id", id}}; }

Result<std::string> parse_id_request(const nlohmann::json& json) {
  std::string id;
  JsonFields fields(json, "");
  fields.required("id", id);
  TRY(std::move(fields).finish());
  TRY(check_container_id(id).in("id"));
  return id;
}

Result<void> check_container_id(const std::string& id) {
  if (id.empty()) return Error(EINVAL, "must not be empty");
  if (id.size() > kMaxIdLength) {
    return Error(EINVAL, join("is ", id.size(), " characters long, at most ", kMaxIdLength,
                              " are possible"));
  }
  if (id == "." || id == ".." || !std::all_of(id.begin(), id.end(), is_id_character)) {
    return Error(EINVAL, join("'", id, "' is no container id: only letters, digits and _ + . -"));
  }
  return {};
}

}  // namespace sysbox::mgr

#pragma once

// The messages of api.h as JSON, for both sides. Parsing checks everything that does not need
// the daemon's state: types, the form of ids and paths, ranges.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "common/result.h"
#include "mgr/api.h"

namespace sysbox::mgr {

nlohmann::json to_json(const RegisterRequest& request);
nlohmann::json to_json(const RegisterReply& reply);
nlohmann::json to_json(const ListReply& reply);

Result<RegisterRequest> parse_register_request(const nlohmann::json& json);
Result<RegisterReply> parse_register_reply(const nlohmann::json& json);
Result<ListReply> parse_list_reply(const nlohmann::json& json);

// Unregister, Pause and Resume have one parameter.
nlohmann::json id_request(const std::string& id);
Result<std::string> parse_id_request(const nlohmann::json& json);

// runc's rule for ids, and short enough for a directory's name (NAME_MAX).
Result<void> check_container_id(const std::string& id);

}  // namespace sysbox::mgr

#pragma once

// The messages of api.h as JSON, for both sides. Descriptors travel beside them, in the order
// that io.sysbox.emulator.varlink gives.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "common/result.h"
#include "fs-emulator/api.h"

namespace sysbox::fs {

nlohmann::json to_json(const RegisterRequest& request);
nlohmann::json to_json(const std::vector<Piece>& pieces);
nlohmann::json to_json(const std::vector<ListedContainer>& containers);
// The pid only: the pidfd goes as a descriptor.
nlohmann::json to_json(const StartRequest& request);
// AddListener and Unregister have one parameter.
nlohmann::json id_request(const std::string& id);

// Parsing checks types, the form of ids, ranges, and that paths are absolute.
Result<RegisterRequest> parse_register_request(const nlohmann::json& json);
Result<std::vector<Piece>> parse_pieces(const nlohmann::json& json);
Result<std::vector<ListedContainer>> parse_list_reply(const nlohmann::json& json);
Result<StartRequest> parse_start_request(const nlohmann::json& json);
Result<std::string> parse_id_request(const nlohmann::json& json);

}  // namespace sysbox::fs

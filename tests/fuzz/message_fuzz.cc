// Bytes of a peer: framing, JSON, and the calls of io.sysbox.manager.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/json_fields.h"
#include "common/message_socket.h"
#include "mgr/api_json.h"

namespace sysbox {
namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

// What was accepted must come out the same when it is sent on.
void check_register(const nlohmann::json& json) {
  const Result<mgr::RegisterRequest> request = mgr::parse_register_request(json);
  if (!request.ok()) return;
  require(mgr::check_container_id(request.value().id).ok());
  require(request.value().given_uids.has_value() == request.value().given_gids.has_value());
  const Result<mgr::RegisterRequest> again =
      mgr::parse_register_request(mgr::to_json(request.value()));
  require(again.ok() && again.value().id == request.value().id &&
          again.value().lifeline == request.value().lifeline &&
          again.value().given_uids == request.value().given_uids &&
          again.value().own_destinations == request.value().own_destinations);
}

void check_message(std::string_view text) {
  const Result<nlohmann::json> json = parse_json(text);
  if (!json.ok()) return;
  check_register(json.value());
  static_cast<void>(mgr::parse_id_request(json.value()).ok());
  static_cast<void>(mgr::parse_register_reply(json.value()).ok());
  static_cast<void>(mgr::parse_list_reply(json.value()).ok());
  if (!json.value().is_object()) return;
  const auto parameters = json.value().find("parameters");
  if (parameters != json.value().end()) check_register(*parameters);
}

}  // namespace
}  // namespace sysbox

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  // The first byte says in how large pieces the rest arrives: no message may depend on that.
  const std::size_t piece = 1U + data[0];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  sysbox::MessageFramer framer;
  std::size_t messages = 0;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    if (!framer.feed(bytes.substr(at, piece)).ok()) return 0;
    while (const std::optional<std::string> text = framer.next()) {
      ++messages;
      sysbox::check_message(*text);
    }
  }
  if (static_cast<std::ptrdiff_t>(messages) != std::count(bytes.begin(), bytes.end(), '\0')) {
    std::abort();
  }
  return 0;
}

#include "mgr/api_client.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "common/varlink.h"
#include "mgr/api_json.h"

namespace sysbox::mgr {
namespace {

using namespace std::chrono_literals;

constexpr auto kConnectTimeout = 900ms;
constexpr auto kReplyTimeout = 10s;
// The image's content of a special directory may be gigabytes of preloaded inner images.
constexpr auto kRegisterTimeout = 10min;
// A move of volumes looks at every file of them once, and may have to wait for another.
constexpr auto kMoveTimeout = 2min;

Result<nlohmann::json> call(const std::string& socket_path, const std::string& method,
                            const nlohmann::json& parameters, std::chrono::milliseconds timeout) {
  Result<MessageSocket> socket = MessageSocket::connect(socket_path, after(kConnectTimeout));
  if (!socket.ok()) {
    return Error(socket.error().code(),
                 join("sysbox-mgr does not answer (", socket.error().message(),
                      "): start it by running sysbox-mgr as root"));
  }
  varlink::Parameters reply = TRY(
      varlink::call(socket.value(), join(kInterface, ".", method), parameters, {}, after(timeout))
          .in("sysbox-mgr"));
  return std::move(reply.json);
}

}  // namespace

Result<RegisterReply> Client::register_container(const RegisterRequest& request) {
  RegisterRequest sent = request;
  if (sent.caller_pid == 0) sent.caller_pid = ::getpid();
  const nlohmann::json reply = TRY(call(socket_path_, "Register", to_json(sent), kRegisterTimeout));
  return parse_register_reply(reply).in("sysbox-mgr's reply");
}

Result<void> Client::unregister_container(const std::string& id) {
  TRY(call(socket_path_, "Unregister", id_request(id), kMoveTimeout));
  return {};
}

Result<void> Client::pause_container(const std::string& id) {
  TRY(call(socket_path_, "Pause", id_request(id), kMoveTimeout));
  return {};
}

Result<void> Client::resume_container(const std::string& id) {
  TRY(call(socket_path_, "Resume", id_request(id), kMoveTimeout));
  return {};
}

Result<ListReply> Client::list() {
  const nlohmann::json reply =
      TRY(call(socket_path_, "List", nlohmann::json::object(), kReplyTimeout));
  return parse_list_reply(reply).in("sysbox-mgr's reply");
}

}  // namespace sysbox::mgr

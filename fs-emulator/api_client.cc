#include "fs-emulator/api_client.h"

#include <nlohmann/json.hpp>
#include <span>

#include "common/varlink.h"
#include "fs-emulator/api_json.h"

namespace sysbox::fs {
namespace {

using namespace std::chrono_literals;

constexpr auto kConnectTimeout = 900ms;
constexpr auto kReplyTimeout = 10s;

Result<varlink::Parameters> call(const std::string& socket_path, const std::string& method,
                                 const nlohmann::json& parameters, std::span<const int> fds = {}) {
  Result<MessageSocket> socket = MessageSocket::connect(socket_path, after(kConnectTimeout));
  if (!socket.ok()) {
    return Error(socket.error().code(),
                 join("sysbox-fs does not answer (", socket.error().message(),
                      "): start it by running sysbox-fs as root"));
  }
  return varlink::call(socket.value(), join(kInterface, ".", method), parameters, fds,
                       after(kReplyTimeout))
      .in("sysbox-fs");
}

}  // namespace

Result<RegisterReply> Client::register_container(const RegisterRequest& request) {
  varlink::Parameters reply = TRY(call(socket_path_, "Register", to_json(request)));
  RegisterReply out;
  out.pieces = TRY(parse_pieces(reply.json).in("sysbox-fs's reply"));
  if (reply.fds.size() != 1) {
    return Error(EPROTO,
                 join("sysbox-fs's reply: one descriptor expected, ", reply.fds.size(), " found"));
  }
  out.tree = std::move(reply.fds[0]);
  return out;
}

Result<void> Client::start_container(const StartRequest& request) {
  std::vector<int> fds;
  if (request.init_pidfd >= 0) fds.push_back(request.init_pidfd);
  for (const UniqueFd& fd : request.shared_layer) fds.push_back(fd.get());
  TRY(call(socket_path_, "Start", to_json(request), fds));
  return {};
}

Result<void> Client::add_listener(const std::string& id, int notify_fd) {
  TRY(call(socket_path_, "AddListener", id_request(id), std::span(&notify_fd, 1)));
  return {};
}

Result<void> Client::unregister_container(const std::string& id) {
  TRY(call(socket_path_, "Unregister", id_request(id)));
  return {};
}

Result<std::vector<ListedContainer>> Client::list() {
  const varlink::Parameters reply = TRY(call(socket_path_, "List", nlohmann::json::object()));
  return parse_list_reply(reply.json).in("sysbox-fs's reply");
}

}  // namespace sysbox::fs

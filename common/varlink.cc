#include "common/varlink.h"

#include <poll.h>

#include <chrono>
#include <system_error>
#include <thread>

#include "common/json_fields.h"
#include "common/log.h"

namespace sysbox::varlink {
namespace {

using namespace std::chrono_literals;

constexpr auto kIdleTimeout = 60s;    // a client that stays connected without a call
constexpr auto kReplyTimeout = 10s;   // a client that does not take its reply
constexpr int kMaxConnections = 256;  // beyond it, connections wait in the listener's backlog

std::string dump(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Error error_of_reply(const std::string& name, const nlohmann::json& parameters) {
  int code = EPROTO;
  std::string message = name;
  JsonFields fields(parameters, "parameters");
  fields.optional("errno", code);
  fields.optional("message", message);
  if (!std::move(fields).finish().ok() || code <= 0) code = EPROTO;
  return {code, std::move(message)};
}

}  // namespace

Result<void> send_call(MessageSocket& socket, const std::string& method,
                       const nlohmann::json& parameters, std::span<const int> fds,
                       Deadline deadline) {
  return socket.send(dump({{"method", method}, {"parameters", parameters}}), fds, deadline);
}

Result<Parameters> receive_reply(MessageSocket& socket, Deadline deadline) {
  Message message = TRY(socket.receive(deadline));
  nlohmann::json reply = TRY(parse_json(message.text));
  std::string error;
  nlohmann::json reply_parameters = nlohmann::json::object();
  JsonFields fields(reply, "");
  fields.optional("error", error);
  if (const nlohmann::json* found = fields.find("parameters")) reply_parameters = *found;
  TRY(std::move(fields).finish());
  if (!error.empty()) return error_of_reply(error, reply_parameters);
  return Parameters{std::move(reply_parameters), std::move(message.fds)};
}

Result<Parameters> call(MessageSocket& socket, const std::string& method,
                        const nlohmann::json& parameters, std::span<const int> fds,
                        Deadline deadline) {
  TRY(send_call(socket, method, parameters, fds, deadline).in(method));
  return receive_reply(socket, deadline);
}

void Server::add_interface(const std::string& name, std::string description) {
  interfaces_[name] = std::move(description);
}
void Server::add_method(const std::string& name, Method method) {
  methods_[name] = std::move(method);
}
void Server::stop() {
  stopping_ = true;
  const std::lock_guard lock(open_mutex_);
  // A thread that waits for its peer's next call wakes up; a reply can still be sent.
  for (const int socket : open_) ::shutdown(socket, SHUT_RD);
}

Result<void> Server::serve(int listener) {
  while (!stopping_) {
    // stop() comes with the listener's shutdown, which ends this wait.
    struct pollfd ready {
      listener, POLLIN, 0
    };
    if (::poll(&ready, 1, -1) < 0) {
      if (errno == EINTR) continue;
      return last_error("poll listener");
    }
    UniqueFd client(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client) {
      if (stopping_) break;
      if (errno == EMFILE || errno == ENFILE) ::poll(nullptr, 0, 50);
      continue;
    }
    while (connections_ >= kMaxConnections) ::poll(nullptr, 0, 5);
    ++connections_;
    // The one call here that throws: a host that is out of processes costs this caller its
    // answer, not everybody the daemon.
    try {
      std::thread([this, socket = MessageSocket(std::move(client))]() mutable {
        serve_connection(std::move(socket));
        --connections_;
      }).detach();
    } catch (const std::system_error& no_thread) {
      --connections_;
      log::error("cannot answer a call: ", no_thread.what());
    }
  }
  while (connections_ > 0) ::poll(nullptr, 0, 5);
  return {};
}

void Server::serve_connection(MessageSocket socket) {
  const Result<struct ucred> peer = socket.peer();
  if (!peer.ok() || (peer.value().uid != 0 && peer.value().uid != geteuid())) {
    log::warning("refused a connection of uid ",
                 peer.ok() ? std::to_string(peer.value().uid) : "unknown");
    return;
  }
  {
    const std::lock_guard lock(open_mutex_);
    open_.insert(socket.fd());
  }
  serve_calls(socket);
  const std::lock_guard lock(open_mutex_);
  open_.erase(socket.fd());
}

void Server::serve_calls(MessageSocket& socket) {
  while (!stopping_) {
    Result<Message> message = socket.receive(after(kIdleTimeout));
    if (!message.ok()) return;
    std::vector<UniqueFd> reply_fds;
    const std::string reply =
        answer(message.value().text, std::move(message.value().fds), reply_fds);
    std::vector<int> borrowed;
    for (const UniqueFd& fd : reply_fds) borrowed.push_back(fd.get());
    if (!socket.send(reply, borrowed, after(kReplyTimeout)).ok()) return;
  }
}

std::string Server::answer(const std::string& text, std::vector<UniqueFd> fds,
                           std::vector<UniqueFd>& reply_fds) {
  std::string method;
  Parameters in{nlohmann::json::object(), std::move(fds)};
  const auto run = [&]() -> Result<Parameters> {
    const nlohmann::json json = TRY(parse_json(text));
    JsonFields fields(json, "");
    fields.required("method", method);
    if (const nlohmann::json* found = fields.find("parameters")) in.json = *found;
    TRY(std::move(fields).finish());
    if (method.starts_with("org.varlink.service.")) return introspect(method, in.json);
    const auto found = methods_.find(method);
    if (found == methods_.end()) return Error(ENOSYS, join("no method '", method, "'"));
    return found->second(std::move(in));
  };
  Result<Parameters> out = run();
  if (out.ok()) {
    reply_fds = std::move(out.value().fds);
    return dump({{"parameters", out.value().json}});
  }
  if (out.error().code() == ENOSYS && !methods_.contains(method)) {
    return dump(
        {{"error", "org.varlink.service.MethodNotFound"}, {"parameters", {{"method", method}}}});
  }
  const std::string interface = method.substr(0, method.rfind('.'));
  return dump(
      {{"error", (interface.empty() ? "io.sysbox" : interface) + ".Failed"},
       {"parameters", {{"errno", out.error().code()}, {"message", out.error().message()}}}});
}

Result<Parameters> Server::introspect(const std::string& method, const nlohmann::json& parameters) {
  Parameters out;
  if (method.ends_with(".GetInfo")) {
    nlohmann::json names = nlohmann::json::array({"org.varlink.service"});
    for (const auto& [name, description] : interfaces_) names.push_back(name);
    out.json = {{"vendor", "Sysbox"},
                {"product", "sysbox"},
                {"version", SYSBOX_VERSION},
                {"url", "https://varlink.org"},
                {"interfaces", names}};
    return out;
  }
  std::string name;
  JsonFields fields(parameters, "parameters");
  fields.required("interface", name);
  TRY(std::move(fields).finish());
  const auto found = interfaces_.find(name);
  if (found == interfaces_.end()) return Error(ENOENT, join("no interface '", name, "'"));
  out.json = {{"description", found->second}};
  return out;
}

}  // namespace sysbox::varlink

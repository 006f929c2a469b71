#pragma once

// Varlink calls (https://varlink.org) over MessageSocket: the client's side and a small server.
// An error of ours crosses the wire as "<interface>.Failed" with the parameters errno and
// message, so that the caller gets the same Error as if the function had been its own.

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "common/message_socket.h"

namespace sysbox::varlink {

// Parameters of a call or of its reply.
struct Parameters {
  nlohmann::json json = nlohmann::json::object();
  std::vector<UniqueFd> fds;
};

// Sends one call and waits for its reply.
Result<Parameters> call(MessageSocket& socket, const std::string& method,
                        const nlohmann::json& parameters, std::span<const int> fds,
                        Deadline deadline);

// The two halves of call(), for a caller that has something else to do in between. There is one
// call on its way at a time.
Result<void> send_call(MessageSocket& socket, const std::string& method,
                       const nlohmann::json& parameters, std::span<const int> fds,
                       Deadline deadline);
Result<Parameters> receive_reply(MessageSocket& socket, Deadline deadline);

// Serves interfaces at a listening socket. Each connection has a thread for as long as it
// lasts; a thread that waits for its peer's next call for 60 s hangs up.
class Server {
 public:
  using Method = std::function<Result<Parameters>(Parameters)>;

  // `description`: the interface's .varlink text, for introspection.
  void add_interface(const std::string& name, std::string description);
  // `name` is the full one: "io.sysbox.manager.Register". May be called by several threads.
  void add_method(const std::string& name, Method method);

  // Serves until stop(). `listener` is a listening stream socket.
  Result<void> serve(int listener);
  // May be called from another thread: calls being answered are finished, idle connections are
  // hung up, and serve() returns when the listener is shut down (shutdown(2)) as well.
  void stop();

 private:
  void serve_connection(MessageSocket socket);
  void serve_calls(MessageSocket& socket);
  std::string answer(const std::string& text, std::vector<UniqueFd> fds,
                     std::vector<UniqueFd>& reply_fds);
  Result<Parameters> introspect(const std::string& method, const nlohmann::json& parameters);

  std::map<std::string, std::string> interfaces_;
  std::map<std::string, Method> methods_;
  std::atomic<int> connections_{0};
  std::atomic<bool> stopping_{false};
  std::mutex open_mutex_;
  std::set<int> open_;  // the connections' sockets
};

}  // namespace sysbox::varlink

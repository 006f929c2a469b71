#include "mgr/api_parking.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/json_fields.h"
#include "common/varlink.h"
#include "mgr/api.h"
#include "mgr/api_json.h"

namespace sysbox::mgr {
namespace {

using namespace std::chrono_literals;

constexpr auto kConnectTimeout = 900ms;
// Containers wait for it at their start, so no longer than people notice.
constexpr auto kSendTimeout = 1s;
constexpr auto kReplyTimeout = 5s;
// The server hangs up after 60 s without a call. A call that meets that would be lost.
constexpr auto kLongestPause = 20s;
constexpr std::size_t kMaxNameLength = 64;

Result<void> check_owner(const std::string& owner) {
  if (owner == kDaemonItself) return {};
  return check_container_id(owner);
}

std::string method_name(const std::string& name) { return join(kInterface, ".", name); }

}  // namespace

nlohmann::json park_request(const std::string& owner, const std::vector<std::string>& names) {
  return {{"owner", owner}, {"names", names}};
}

Result<ParkRequest> parse_park_request(const nlohmann::json& json) {
  ParkRequest request;
  JsonFields fields(json, "");
  fields.required("owner", request.owner);
  fields.required("names", request.names);
  TRY(std::move(fields).finish());
  TRY(check_owner(request.owner));
  for (const std::string& name : request.names) {
    if (name.empty() || name.size() > kMaxNameLength) {
      return Error(EINVAL, "names: each has to be 1 to 64 bytes long");
    }
  }
  return request;
}

Result<std::string> parse_owner(const nlohmann::json& json) {
  std::string owner;
  JsonFields fields(json, "");
  fields.required("owner", owner);
  TRY(std::move(fields).finish());
  TRY(check_owner(owner));
  return owner;
}

Result<MessageSocket*> ParkingClient::connection() {
  const auto now = std::chrono::steady_clock::now();
  if (socket_ && now - last_use_ > kLongestPause) socket_.reset();
  last_use_ = now;
  if (!socket_) {
    socket_ = TRY(MessageSocket::connect(socket_path_, after(kConnectTimeout)).in("sysbox-mgr"));
  }
  return &*socket_;
}

Result<void> ParkingClient::take_pending_reply() {
  if (!std::exchange(reply_is_pending_, false) || !socket_) return {};
  Result<varlink::Parameters> reply = varlink::receive_reply(*socket_, after(kReplyTimeout));
  if (reply.ok()) return {};
  // Of no use after a failure of its own; an answer of sysbox-mgr is none.
  if (reply.error().code() == ECONNRESET || reply.error().code() == ETIMEDOUT) socket_.reset();
  return Error(reply.error()).in("sysbox-mgr");
}

Result<void> ParkingClient::post(const std::string& method, const nlohmann::json& parameters,
                                 std::span<const int> fds) {
  const Result<void> earlier = take_pending_reply();
  MessageSocket* const socket = TRY(connection());
  Result<void> sent =
      varlink::send_call(*socket, method_name(method), parameters, fds, after(kSendTimeout));
  if (!sent.ok()) {
    socket_.reset();
    return std::move(sent).in("sysbox-mgr");
  }
  reply_is_pending_ = true;
  return earlier;
}

Result<void> ParkingClient::settle() {
  const std::lock_guard lock(mutex_);
  return take_pending_reply();
}

Result<Attended> ParkingClient::attend() {
  const UniqueFd self = TRY(sys::pidfd_open(::getpid()));
  const int fd = self.get();
  const std::lock_guard lock(mutex_);
  socket_.reset();
  reply_is_pending_ = false;
  MessageSocket* const socket = TRY(connection());
  varlink::Parameters reply =
      TRY(varlink::call(*socket, method_name("Attend"), nlohmann::json::object(), std::span(&fd, 1),
                        after(kReplyTimeout))
              .in("sysbox-mgr"));
  if (reply.fds.size() != 1) return Error(EPROTO, "sysbox-mgr's reply: one descriptor expected");
  Attended attended{std::move(reply.fds[0]), {}};
  JsonFields fields(reply.json, "");
  fields.required("owners", attended.owners);
  TRY(std::move(fields).finish().in("sysbox-mgr's reply"));
  return attended;
}

Result<std::vector<NamedDescriptor>> ParkingClient::copies_of(const std::string& owner) {
  const std::lock_guard lock(mutex_);
  TRY(take_pending_reply());
  MessageSocket* const socket = TRY(connection());
  varlink::Parameters reply = TRY(
      varlink::call(*socket, method_name("Parked"), {{"owner", owner}}, {}, after(kReplyTimeout))
          .in("sysbox-mgr"));
  std::vector<std::string> names;
  JsonFields fields(reply.json, "");
  fields.required("names", names);
  TRY(std::move(fields).finish().in("sysbox-mgr's reply"));
  if (names.size() != reply.fds.size()) {
    return Error(EPROTO, "sysbox-mgr's reply: not as many descriptors as names");
  }
  std::vector<NamedDescriptor> copies;
  for (std::size_t i = 0; i < names.size(); ++i) {
    copies.push_back({std::move(names[i]), std::move(reply.fds[i])});
  }
  return copies;
}

Result<void> ParkingClient::park(const std::string& owner,
                                 const std::vector<NamedFd>& descriptors) {
  std::vector<std::string> names;
  std::vector<int> fds;
  for (const NamedFd& descriptor : descriptors) {
    names.push_back(descriptor.name);
    fds.push_back(descriptor.fd);
  }
  const std::lock_guard lock(mutex_);
  return post("Park", park_request(owner, names), fds);
}

Result<void> ParkingClient::unpark(const std::string& owner) {
  const std::lock_guard lock(mutex_);
  return post("Unpark", {{"owner", owner}}, {});
}

}  // namespace sysbox::mgr

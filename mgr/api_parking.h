#pragma once

// sysbox-fs's side of the part of io.sysbox.manager that lets it die and come back.

#include <chrono>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/message_socket.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox::mgr {

struct NamedDescriptor {
  std::string name;
  UniqueFd fd;
};
// The same, borrowed.
struct NamedFd {
  std::string name;
  int fd = -1;
};

// sysbox-mgr has to know of two kinds: it watches for the end of listeners, and has the requests
// of a dead sysbox-fs asked again. All other names are sysbox-fs's own.
inline constexpr std::string_view kFuseName = "fuse";
inline constexpr std::string_view kListenerPrefix = "listener-";
// All of one owner go with one message.
inline constexpr std::size_t kMaxParkedOfOne = 240;
// What belongs to the daemon and to no container.
inline constexpr const char* kDaemonItself = "";

struct Attended {
  UniqueFd manager_pidfd;           // readable when this sysbox-mgr has ended
  std::vector<std::string> owners;  // who has something parked
};

// The parameters of Park and of the reply of Parked, but for the descriptors.
nlohmann::json park_request(const std::string& owner, const std::vector<std::string>& names);
struct ParkRequest {
  std::string owner;
  std::vector<std::string> names;
};
Result<ParkRequest> parse_park_request(const nlohmann::json& json);
// Of Parked and Unpark.
Result<std::string> parse_owner(const nlohmann::json& json);

// May be used by several threads.
class ParkingClient {
 public:
  explicit ParkingClient(std::string socket_path) : socket_path_(std::move(socket_path)) {}

  // Says that this process is the sysbox-fs. EBUSY while another one lives.
  Result<Attended> attend();
  Result<std::vector<NamedDescriptor>> copies_of(const std::string& owner);

  // Return when the message is sent: a kill of this process cannot take it back. What sysbox-mgr
  // says to it comes out of the next call, or of settle().
  Result<void> park(const std::string& owner, const std::vector<NamedFd>& descriptors);
  Result<void> unpark(const std::string& owner);
  Result<void> settle();

  const std::string& socket_path() const { return socket_path_; }

 private:
  // With the lock held:
  Result<MessageSocket*> connection();
  Result<void> take_pending_reply();
  Result<void> post(const std::string& method, const nlohmann::json& parameters,
                    std::span<const int> fds);

  const std::string socket_path_;
  std::mutex mutex_;
  std::optional<MessageSocket> socket_;
  std::chrono::steady_clock::time_point last_use_;
  bool reply_is_pending_ = false;
};

}  // namespace sysbox::mgr

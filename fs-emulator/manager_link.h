#pragma once

// ManagerLink: keeps copies of this daemon's descriptors with sysbox-mgr, and takes back what an
// earlier sysbox-fs has left there. Either daemon may die and come back at any time: sysbox-mgr
// finds everything again here, this daemon there.

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "mgr/api_parking.h"

namespace sysbox::fs {

using DescriptorsByName = std::map<std::string, UniqueFd, std::less<>>;

class ManagerLink {
 public:
  // What the link does for the daemon is done by these. Both may be called again whenever a
  // sysbox-mgr appears.
  struct Tasks {
    // A container that was parked by an earlier sysbox-fs, or by this one before sysbox-mgr was
    // restarted.
    std::function<void(const std::string& id, DescriptorsByName descriptors)> take_back;
    std::function<void()> park_all;
  };

  explicit ManagerLink(std::string socket_path) : client_(std::move(socket_path)) {}
  ~ManagerLink();
  ManagerLink(const ManagerLink&) = delete;
  ManagerLink& operator=(const ManagerLink&) = delete;

  // What an earlier sysbox-fs had that belongs to no container; nothing without a sysbox-mgr.
  // EBUSY: another sysbox-fs has these containers.
  Result<DescriptorsByName> connect();
  // After connect(). Containers are taken back when it returns. Without a sysbox-mgr it waits for
  // one in the background, without waking up.
  Result<void> start(Tasks tasks);
  // No task is called after this.
  void stop();

  // A failure is logged and otherwise the containers' luck: they lose their emulated files if
  // this daemon dies before sysbox-mgr is back.
  void park(const std::string& owner, const std::vector<mgr::NamedFd>& descriptors);
  void unpark(const std::string& owner);

  // Whether the containers would survive the end of this process.
  bool is_connected() const { return connected_; }

 private:
  Result<void> attend();
  Result<DescriptorsByName> descriptors_of(const std::string& owner);
  void exchange();
  void watch();
  // False: this daemon stops.
  bool wait_for_end_of_manager() const;
  bool wait_for_socket(bool is_worth_trying) const;

  mgr::ParkingClient client_;
  Tasks tasks_;
  UniqueFd stop_;
  UniqueFd manager_pidfd_;           // of the sysbox-mgr that was attended
  std::vector<std::string> owners_;  // what it has
  std::atomic<bool> connected_{false};
  std::thread watcher_;
};

}  // namespace sysbox::fs

#pragma once

// ParkedDescriptors: what a sysbox-fs needs to come back after its death. A FUSE connection, a
// detached mount and a seccomp listener live as long as one descriptor of them does; these are
// that one while there is no sysbox-fs. What they are of is sysbox-fs's business: here they have
// names.

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "mgr/api_parking.h"

namespace sysbox::mgr {

class ParkedDescriptors {
 public:
  // Without a sysbox-fs, everything is let go after `patience`: whoever reads an emulated file
  // waits until then.
  static Result<std::unique_ptr<ParkedDescriptors>> start(std::chrono::milliseconds patience);
  ~ParkedDescriptors();
  ParkedDescriptors(const ParkedDescriptors&) = delete;
  ParkedDescriptors& operator=(const ParkedDescriptors&) = delete;

  // The process of the pidfd is the sysbox-fs from now on. EBUSY while an earlier one lives:
  // nobody else gets what it parked. The owners of what is parked.
  Result<std::vector<std::string>> attend(UniqueFd pidfd);

  // One that has the same owner and name is let go. E2BIG, EMFILE: the limits are reached.
  Result<void> park(const std::string& owner, std::vector<NamedDescriptor> descriptors);
  // Copies; ENOENT if nothing is parked.
  Result<std::vector<NamedDescriptor>> copies_of(const std::string& owner) const;
  // An unknown owner is no error.
  void let_go(const std::string& owner);

  std::size_t size() const;  // descriptors

 private:
  struct Parked {
    UniqueFd fd;
    std::uint64_t watch_key = 0;  // 0: nothing to watch for
  };
  using Group = std::map<std::string, Parked, std::less<>>;

  ParkedDescriptors(std::chrono::milliseconds patience, UniqueFd epoll, UniqueFd stop,
                    UniqueFd timer);
  void watch();
  void handle_event(std::uint64_t key);
  // With the lock held:
  void attendant_died();
  void give_up();
  void listener_ended(std::uint64_t key);
  Result<void> watch_for_end(Parked& parked);
  void forget(Parked& parked);
  void forget_all(Group& group);
  void arm_timer(std::chrono::milliseconds timeout) const;
  std::size_t count() const;

  const std::chrono::milliseconds patience_;
  const std::size_t max_descriptors_;
  const UniqueFd epoll_;
  const UniqueFd stop_;
  const UniqueFd timer_;
  mutable std::mutex mutex_;
  UniqueFd attendant_;  // pidfd; none after its death
  std::map<std::string, Group> groups_;
  std::map<std::uint64_t, std::pair<std::string, std::string>> watched_;  // owner, name
  std::uint64_t next_key_;
  std::thread watcher_;  // last: uses the rest
};

}  // namespace sysbox::mgr

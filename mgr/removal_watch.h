#pragma once

// RemovalWatch: notices that a path is deleted or renamed away (inotify(7) on its directory).
// Its thread sleeps until the kernel has something to tell: no polling.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sysbox::mgr {

class RemovalWatch {
 public:
  // `maybe_gone(id)`, called by the watch's thread: something happened to that id's path; look.
  using Callback = std::function<void(const std::string& id)>;

  static Result<std::unique_ptr<RemovalWatch>> start(Callback maybe_gone);
  ~RemovalWatch();
  RemovalWatch(const RemovalWatch&) = delete;
  RemovalWatch& operator=(const RemovalWatch&) = delete;

  // Watches `path` for `id`, instead of what was watched for it before. A path that is gone by
  // the time of the call is not reported: look after watching.
  Result<void> watch(const std::string& id, const std::string& path);
  void forget(const std::string& id);

 private:
  struct Place {
    int directory = -1;  // inotify's number of the watched directory
    std::string name;    // in it
  };

  RemovalWatch(Callback maybe_gone, UniqueFd events, UniqueFd stop);
  void run();
  void handle_events(std::string_view events);
  std::set<std::string> ids_at(int directory, std::string_view name);
  // With the lock held. `kept_directory` stays watched though nobody is left who asked for it.
  void forget_locked(const std::string& id, int kept_directory);

  Callback maybe_gone_;
  UniqueFd events_;
  UniqueFd stop_;
  std::mutex mutex_;
  std::map<std::string, Place> places_;                              // by id
  std::map<int, std::map<std::string, std::set<std::string>>> ids_;  // directory → name → ids
  std::thread thread_;
};

}  // namespace sysbox::mgr

#pragma once

// FuseLoop: a few workers answer the requests of all FUSE connections, and sleep when there
// are none.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "fs-emulator/fuse_session.h"

namespace sysbox::fs {

class FuseLoop {
 public:
  // `journal` (borrowed): where requests are kept while they are answered.
  static Result<std::unique_ptr<FuseLoop>> start(std::size_t workers,
                                                 RequestJournal* journal = nullptr);
  ~FuseLoop();  // waits for the workers; connections that are left end
  FuseLoop(const FuseLoop&) = delete;
  FuseLoop& operator=(const FuseLoop&) = delete;

  Result<void> add(std::shared_ptr<FuseSession> session);
  // The connection ends when the last user of the session lets it go.
  void remove(const FuseSession& session);

 private:
  FuseLoop(UniqueFd epoll, UniqueFd stop) : epoll_(std::move(epoll)), stop_(std::move(stop)) {}
  void work(RequestBuffer buffer);
  void serve(std::uint64_t key, RequestBuffer& buffer);
  std::shared_ptr<FuseSession> find(std::uint64_t key);
  void forget(std::uint64_t key);

  const UniqueFd epoll_;
  const UniqueFd stop_;
  std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<FuseSession>> sessions_;
  std::uint64_t next_key_ = 1;
  std::vector<std::thread> workers_;
};

}  // namespace sysbox::fs

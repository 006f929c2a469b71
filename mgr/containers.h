#pragma once

// Containers: the registered containers, with their ids and volumes. What api_server serves,
// without the wire. Thread-safe; the lock is never held while data is copied or deleted.
//
// A registration ends by Unregister. One whose sysbox-runc died before that is found dead when
// it matters (at the daemon's start, when the pool is exhausted, when its id is registered again
// and when its lifeline goes): the process that registered it is gone, and no running process's
// user namespace maps any of its ids. A container that has stopped but is not deleted looks the
// same; giving its ids away is right, for nobody runs under them any more, and its volumes stay
// with its lifeline.
//
// Containers of one user namespace, a pod's, share its ids: each has a registration of its own,
// and the ids are free again with the last of them.

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/result.h"
#include "mgr/api.h"
#include "mgr/live_processes.h"
#include "mgr/range_allocator.h"
#include "mgr/range_journal.h"
#include "mgr/removal_watch.h"
#include "mgr/volumes.h"

namespace sysbox::mgr {

class Containers {
 public:
  struct Places {
    std::string run_dir;
    std::string data_root;
    std::vector<IdRange> pool;
    std::string pool_source = "the pool";  // for people: what to enlarge
    std::string proc = "/proc";
    std::uint32_t ids = kRangeSize;  // of a container that asks for no number
  };
  // Takes up what an earlier daemon left: live registrations, ranges in use of which there is no
  // record, volumes whose container has gone meanwhile. Logs what was found.
  static Result<std::unique_ptr<Containers>> open(const Places& places);
  ~Containers();
  Containers(const Containers&) = delete;
  Containers& operator=(const Containers&) = delete;

  Result<RegisterReply> register_container(const RegisterRequest& request);
  Result<void> unregister_container(const std::string& id);
  // The container is frozen, or about to go on: where its volumes are. Waits for an earlier move.
  Result<void> move_volumes(const std::string& id, VolumePlace place);
  ListReply list() const;

  // Makes registrations that are copying data fail soon.
  void stop();
  // Waits until the data of removed containers is deleted.
  void wait_until_discarded() { volumes_.wait_until_discarded(); }

 private:
  struct Record {
    HeldRanges ranges;
    ProcessIdentity registrant;
    std::vector<Volume> volumes;
    bool is_preparing = false;
    // Set when the registration is withdrawn while it is prepared.
    std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);
  };

  Containers(RangeAllocator allocator, RangeJournal journal, Volumes volumes,
             LiveProcesses processes);

  // With the lock held:
  void adopt(const JournalContents& contents);
  Result<void> hold_unrecorded_ranges();
  void adopt_volumes();
  Result<void> make_way_for(const std::string& id);
  Result<HeldRanges> allot(const RegisterRequest& request);
  Result<HeldRanges> allot_given(const RegisterRequest& request);
  Result<void> check_joined(const HeldRanges& joined);
  Result<void> reserve(const RegisterRequest& request);
  Result<void> release(const std::string& id);
  std::size_t release_dead();
  bool may_be_dead(const Record& record) const;
  bool is_dead(const Record& record) const;
  static bool uses_ids_of(const Record& record, const std::vector<IdRange>& mapped);
  void shorten_journal();
  void watch_lifeline(const Volumes::Stored& stored);
  void withdraw(const std::string& id);
  void discard_if_gone(const std::string& id);

  // Waits until nobody moves the volumes of `id`.
  Result<void> await_moves(std::unique_lock<std::mutex>& lock, const std::string& id);
  void lifeline_changed(const std::string& id);

  mutable std::mutex mutex_;
  std::string pool_source_;
  std::uint32_t ids_ = kRangeSize;
  RangeAllocator allocator_;
  RangeJournal journal_;
  Volumes volumes_;
  LiveProcesses processes_;
  std::map<std::string, Record> records_;
  std::map<std::string, Lifeline> lifelines_;  // of all containers with volumes on disk
  std::set<std::string> moving_;               // ids whose volumes are being moved
  std::condition_variable moved_;
  std::atomic<bool> stopping_ = false;
  std::unique_ptr<RemovalWatch> watch_;  // last: its thread uses the rest
};

}  // namespace sysbox::mgr

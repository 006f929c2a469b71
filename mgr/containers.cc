#include "mgr/containers.h"

#include <algorithm>

#include "common/log.h"

namespace sysbox::mgr {
namespace {

// Longer than any move of volumes takes.
constexpr auto kMoveTimeout = std::chrono::seconds(50);

// An id that no container can have: a range in use by processes of which there is no record.
std::string recovered_id(const IdRange& range) { return join("recovered:", range.first); }

std::string text_of(const IdRange& range) { return join(range.first, "-", range.end() - 1); }

}  // namespace

Containers::Containers(RangeAllocator allocator, RangeJournal journal, Volumes volumes,
                       LiveProcesses processes)
    : allocator_(std::move(allocator)),
      journal_(std::move(journal)),
      volumes_(std::move(volumes)),
      processes_(std::move(processes)) {}

Containers::~Containers() {
  stop();
  watch_.reset();
}

Result<std::unique_ptr<Containers>> Containers::open(const Places& places) {
  RangeJournal::Opened opened = TRY(RangeJournal::open(places.run_dir));
  if (opened.mistake) {
    log::error("the record of which container holds which ids is damaged: ",
               opened.mistake->message(), "; it was moved to ", places.run_dir,
               "/ranges.journal.corrupt, and the ranges that running processes use are kept from ",
               "new containers instead. Nothing needs to be done; the file may help to find out "
               "what damaged it");
  }
  Volumes volumes = TRY(Volumes::open(places.data_root));
  LiveProcesses processes = TRY(LiveProcesses::open(places.proc));
  std::unique_ptr<Containers> containers(
      new Containers(RangeAllocator(places.pool, opened.contents.freed), std::move(opened.journal),
                     std::move(volumes), std::move(processes)));
  containers->pool_source_ = places.pool_source;
  containers->ids_ = places.ids;
  containers->watch_ = TRY(RemovalWatch::start(
      [raw = containers.get()](const std::string& id) { raw->lifeline_changed(id); }));
  const std::lock_guard lock(containers->mutex_);
  containers->adopt(opened.contents);
  containers->release_dead();
  TRY(containers->hold_unrecorded_ranges());
  containers->adopt_volumes();
  return containers;
}

void Containers::adopt(const JournalContents& contents) {
  for (const auto& [id, entry] : contents.live) {
    // The journal's reader has made sure that no two overlap.
    if (!allocator_.hold(id, entry.ranges).ok()) continue;
    Record record;
    record.ranges = entry.ranges;
    record.registrant = entry.registrant;
    if (Result<Volumes::Stored> stored = volumes_.find(id); stored.ok()) {
      record.volumes = std::move(stored.value().volumes);
    }
    records_.emplace(id, std::move(record));
  }
}

Result<void> Containers::hold_unrecorded_ranges() {
  const std::vector<IdRange> mapped = TRY(processes_.mapped_uids());
  for (const IdRange& ids : mapped) {
    for (const IdRange& slot : allocator_.unheld_slots_in(ids)) {
      const std::string id = recovered_id(slot);
      const JournalEntry entry{{slot, slot}, {}};
      if (!allocator_.hold(id, entry.ranges).ok()) continue;
      records_[id].ranges = entry.ranges;
      if (const Result<void> recorded = journal_.record_take(id, entry); !recorded.ok()) {
        log::warning(recorded.error().message());
      }
      log::warning("host ids ", text_of(slot),
                   " are in use by running processes without a record; kept from new containers");
    }
  }
  return {};
}

void Containers::adopt_volumes() {
  std::vector<std::string> warnings;
  for (const Volumes::Stored& stored : volumes_.stored(warnings)) {
    const log::ContainerScope scope(stored.id);
    watch_lifeline(stored);
    discard_if_gone(stored.id);
    if (state_of(stored.lifeline) == LifelineState::kUnknown) {
      log::warning("keeping the container's volumes: the file system of ", stored.lifeline.path,
                   " is not there");
    }
  }
  for (const std::string& warning : warnings) log::warning(warning);
}

// First the registrant, then the maps: a registrant that ends between the two has made its
// container before, whose map is seen. The other way round, both could be missed.
bool Containers::may_be_dead(const Record& record) const {
  return !record.is_preparing && !processes_.is_alive(record.registrant);
}

bool Containers::is_dead(const Record& record) const {
  if (!may_be_dead(record)) return false;
  const Result<std::vector<IdRange>> mapped = processes_.mapped_uids();
  return mapped.ok() && !uses_ids_of(record, mapped.value());
}

bool Containers::uses_ids_of(const Record& record, const std::vector<IdRange>& mapped) {
  return std::any_of(mapped.begin(), mapped.end(),
                     [&record](const IdRange& ids) { return ids.overlaps(record.ranges.uids); });
}

std::size_t Containers::release_dead() {
  std::vector<std::string> dead;
  for (const auto& [id, record] : records_) {
    if (may_be_dead(record)) dead.push_back(id);
  }
  if (dead.empty()) return 0;
  const Result<std::vector<IdRange>> mapped = processes_.mapped_uids();
  if (!mapped.ok()) return 0;
  std::erase_if(
      dead, [&](const std::string& id) { return uses_ids_of(records_.at(id), mapped.value()); });
  std::size_t released = 0;
  for (const std::string& id : dead) {
    const log::ContainerScope scope(id);
    const std::string ids = text_of(records_.at(id).ranges.uids);
    if (const Result<void> done = release(id); !done.ok()) {
      log::warning(done.error().message());
      continue;
    }
    ++released;
    log::info("host ids ", ids, " are free again: no process of the container runs any more");
  }
  return released;
}

// Journal first: were the ids free in memory only, the next container would get them, and the
// next daemon would find two owners on disk.
Result<void> Containers::release(const std::string& id) {
  TRY(journal_.record_release(id));
  allocator_.release(id);
  records_.erase(id);
  shorten_journal();
  return {};
}

void Containers::shorten_journal() {
  if (!journal_.is_long()) return;
  JournalContents contents;
  for (const auto& [id, record] : records_) {
    contents.live[id] = {allocator_.held().at(id), record.registrant};
  }
  contents.freed = allocator_.free_firsts();
  if (const Result<void> replaced = journal_.replace(contents); !replaced.ok()) {
    log::warning(replaced.error().message());
  }
}

Result<void> Containers::make_way_for(const std::string& id) {
  const auto existing = records_.find(id);
  if (existing == records_.end()) return {};
  if (is_dead(existing->second)) return release(id);
  return Error(EEXIST, join("container '", id, "' is registered already"));
}

// The first container of a user namespace claims the ids: nobody outside of it may run under
// them. If a container of ours made that namespace, the ids alone do not prove it, for they could
// have been given to another one since: then a process of the namespace must still be alive, which
// keeps its maker's ids from being given away.
Result<void> Containers::check_joined(const HeldRanges& joined) {
  if (joined.user_namespace == 0 || allocator_.knows_namespace(joined.user_namespace)) return {};
  const LiveProcesses::IdUsers users =
      TRY(processes_.users_of(joined.uids, joined.gids, joined.user_namespace));
  const std::string ids = join("host ids ", text_of(joined.uids));
  if (users.outside) {
    return Error(EBUSY, join(ids, " of the user namespace are in use outside of it, by process ",
                             *users.outside, "; each pod needs ids of its own"));
  }
  if (users.inside || allocator_.unproven_maker(joined) == nullptr) return {};
  release_dead();
  const std::string* maker = allocator_.unproven_maker(joined);
  if (maker == nullptr) return {};
  return Error(EBUSY, join(ids, " of the user namespace belong to container '", *maker,
                           "', which has made another one"));
}

Result<HeldRanges> Containers::allot_given(const RegisterRequest& request) {
  const HeldRanges given{*request.given_uids, *request.given_gids, request.user_namespace};
  TRY(check_joined(given));
  Result<void> held = allocator_.hold(request.id, given);
  if (!held.ok() && release_dead() != 0) held = allocator_.hold(request.id, given);
  TRY(std::move(held));
  return given;
}

Result<HeldRanges> Containers::allot(const RegisterRequest& request) {
  if (request.given_uids && request.given_gids) return allot_given(request);
  const std::uint32_t ids = request.ids != 0 ? request.ids : ids_;
  Result<IdRange> range = allocator_.take(request.id, ids);
  if (!range.ok() && release_dead() != 0) range = allocator_.take(request.id, ids);
  if (!range.ok()) {
    return Error(range.error().code(),
                 join(range.error().message(), "; remove containers, or enlarge ", pool_source_,
                      " and restart sysbox-mgr"));
  }
  return HeldRanges{range.value(), range.value()};
}

Result<void> Containers::reserve(const RegisterRequest& request) {
  if (stopping_) return Error(ECANCELED, "sysbox-mgr is stopping");
  TRY(make_way_for(request.id));
  Record record;
  record.is_preparing = true;
  record.registrant = processes_.identify(request.caller_pid).value_or(ProcessIdentity{});
  record.ranges = TRY(allot(request));
  Result<void> recorded = journal_.record_take(request.id, {record.ranges, record.registrant});
  if (!recorded.ok()) {
    allocator_.release(request.id);
    return recorded;
  }
  records_.emplace(request.id, std::move(record));
  return {};
}

Result<RegisterReply> Containers::register_container(const RegisterRequest& request) {
  std::shared_ptr<std::atomic<bool>> cancelled;
  {
    std::unique_lock lock(mutex_);
    TRY(await_moves(lock, request.id));
    TRY(reserve(request));
    cancelled = records_.at(request.id).cancelled;
  }
  // May copy gigabytes. The reservation keeps others off the id and its volumes.
  Result<Volumes::Stored> stored = volumes_.prepare(request, *cancelled);

  const std::lock_guard lock(mutex_);
  Record& record = records_.at(request.id);
  record.is_preparing = false;
  if (stored.ok()) {
    watch_lifeline(stored.value());
    if (*cancelled) stored = Error(ECANCELED, "the registration was withdrawn");
  }
  if (!stored.ok()) {
    withdraw(request.id);
    return std::move(stored).error();
  }
  record.volumes = std::move(stored.value().volumes);
  log::info("registered with host ids ", text_of(record.ranges.uids));
  return RegisterReply{record.ranges.uids, record.ranges.gids, record.volumes};
}

void Containers::watch_lifeline(const Volumes::Stored& stored) {
  lifelines_[stored.id] = stored.lifeline;
  const Result<void> watched = watch_->watch(stored.id, stored.lifeline.path);
  if (!watched.ok() && state_of(stored.lifeline) != LifelineState::kGone) {
    log::warning("the container's end is noticed at the next start of sysbox-mgr only: ",
                 watched.error().message());
  }
}

void Containers::withdraw(const std::string& id) {
  if (const Result<void> released = release(id); !released.ok()) {
    log::warning(released.error().message());
  }
  if (!volumes_.find(id).ok()) {
    watch_->forget(id);
    lifelines_.erase(id);
  }
  discard_if_gone(id);
}

Result<void> Containers::await_moves(std::unique_lock<std::mutex>& lock, const std::string& id) {
  if (moved_.wait_for(lock, kMoveTimeout, [&] { return !moving_.contains(id); })) return {};
  return Error(EBUSY, "the container's volumes are still being moved");
}

Result<void> Containers::move_volumes(const std::string& id, VolumePlace place) {
  std::unique_lock lock(mutex_);
  TRY(await_moves(lock, id));
  const auto found = records_.find(id);
  if (found != records_.end() && found->second.is_preparing) {
    return Error(EBUSY, join("container '", id, "' is being made"));
  }
  moving_.insert(id);
  lock.unlock();
  Result<void> moved = volumes_.move(id, place, stopping_);
  lock.lock();
  moving_.erase(id);
  moved_.notify_all();
  return moved;
}

Result<void> Containers::unregister_container(const std::string& id) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = records_.find(id);
    if (found != records_.end() && found->second.is_preparing) {
      // Its own thread gives everything back as soon as it sees this.
      *found->second.cancelled = true;
      return {};
    }
  }
  const Result<void> moved = move_volumes(id, VolumePlace::kInLayer);
  if (!moved.ok()) {
    log::warning("images made from the container may lack what is in its volumes: ",
                 moved.error().message());
  }
  const std::lock_guard lock(mutex_);
  const auto found = records_.find(id);
  if (found != records_.end() && !found->second.is_preparing) {
    TRY(release(id));
    log::info("unregistered");
  }
  discard_if_gone(id);
  return {};
}

void Containers::discard_if_gone(const std::string& id) {
  const auto lifeline = lifelines_.find(id);
  if (lifeline == lifelines_.end() || records_.contains(id)) return;
  if (state_of(lifeline->second) != LifelineState::kGone) return;
  if (const Result<void> discarded = volumes_.discard(id); !discarded.ok()) {
    log::error("cannot remove the container's volumes: ", discarded.error().message());
    return;
  }
  log::info("volumes removed: ", lifeline->second.path, " is gone");
  watch_->forget(id);
  lifelines_.erase(lifeline);
}

void Containers::lifeline_changed(const std::string& id) {
  const log::ContainerScope scope(id);
  const std::lock_guard lock(mutex_);
  const auto record = records_.find(id);
  if (record != records_.end()) {
    // Most often the engine is quicker than Unregister, which then looks again.
    const auto lifeline = lifelines_.find(id);
    if (lifeline == lifelines_.end() || state_of(lifeline->second) != LifelineState::kGone) return;
    if (!is_dead(record->second) || !release(id).ok()) return;
  }
  discard_if_gone(id);
}

ListReply Containers::list() const {
  const std::lock_guard lock(mutex_);
  ListReply reply;
  for (const auto& [id, record] : records_) {
    reply.containers.push_back({id, record.ranges.uids, record.ranges.gids, record.volumes});
  }
  reply.ranges = allocator_.pool_size();
  reply.free_ranges = allocator_.free_count();
  return reply;
}

void Containers::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  for (auto& [id, record] : records_) *record.cancelled = true;
}

}  // namespace sysbox::mgr

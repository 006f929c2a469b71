#pragma once

// RangeAllocator: which container holds which host ids. Pure, no I/O, not thread-safe.

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "common/id_range.h"
#include "common/result.h"
#include "mgr/api.h"

namespace sysbox::mgr {

struct HeldRanges {
  IdRange uids;
  IdRange gids;
  // The inode number of the user namespace, as soon as a container has joined it. 0: the
  // container made it itself and nobody has asked for it.
  std::uint64_t user_namespace = 0;

  bool operator==(const HeldRanges&) const = default;

  bool overlaps(const HeldRanges& other) const {
    return uids.overlaps(other.uids) || gids.overlaps(other.gids);
  }
  // The pod rule: whoever joins a user namespace shares the ids, all of them, with those in it.
  bool may_be_shared_by(const HeldRanges& joiner) const {
    return joiner.user_namespace != 0 && uids == joiner.uids && gids == joiner.gids &&
           (user_namespace == 0 || user_namespace == joiner.user_namespace);
  }
};

class RangeAllocator {
 public:
  // The pool is cut into ranges of kRangeSize; a remainder is not used. `freed`: first ids of
  // ranges that were used before, least recently freed first; they come after unused ones.
  explicit RangeAllocator(const std::vector<IdRange>& pool,
                          const std::vector<std::uint32_t>& freed = {});

  // As many ranges of the pool in a row as hold `count` ids for `id`, which must hold none: the
  // least recently freed ones, so that what a container may have left behind (a file, a key, a
  // process that is still dying) meets no new owner at once. ENOSPC if none are left.
  Result<IdRange> take(const std::string& id, std::uint32_t count = kRangeSize);
  // Given ranges, from the pool or not; `id` must hold none. EBUSY names the container whose ids
  // they overlap and may not be shared.
  Result<void> hold(const std::string& id, const HeldRanges& ranges);
  // The container that made the user namespace of these ids itself, if that one still is known
  // by nothing but its ids. Whether it is the one that `joiner` names is for the caller to find
  // out.
  const std::string* unproven_maker(const HeldRanges& joiner) const;
  // Whether somebody holds ids of that very user namespace.
  bool knows_namespace(std::uint64_t user_namespace) const;
  // False if `id` holds nothing. Shared ids are free when nobody holds them any more.
  bool release(const std::string& id);

  const std::map<std::string, HeldRanges>& held() const { return held_; }
  // Of the pool, least recently freed first.
  std::vector<std::uint32_t> free_firsts() const { return {free_.begin(), free_.end()}; }
  std::uint32_t pool_size() const { return static_cast<std::uint32_t>(slots_.size()); }
  std::uint32_t free_count() const { return static_cast<std::uint32_t>(free_.size()); }
  // The pool's ranges that overlap `ids` and that nobody holds any part of.
  std::vector<IdRange> unheld_slots_in(const IdRange& ids) const;

 private:
  const std::string* holder_of(const HeldRanges& ranges) const;
  bool is_held(const HeldRanges& ranges) const;
  // The first ids of the pool's ranges that `ranges` is made of; none if it is of anything else.
  std::vector<std::uint32_t> slots_of(const HeldRanges& ranges) const;

  std::vector<std::uint32_t> slots_;  // sorted first ids
  std::deque<std::uint32_t> free_;
  std::map<std::string, HeldRanges> held_;
};

}  // namespace sysbox::mgr

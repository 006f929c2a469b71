#include "mgr/range_allocator.h"

#include <algorithm>
#include <set>

namespace sysbox::mgr {

RangeAllocator::RangeAllocator(const std::vector<IdRange>& pool,
                               const std::vector<std::uint32_t>& freed) {
  for (const IdRange& range : pool) {
    for (std::uint64_t first = range.first; first + kRangeSize <= range.end();
         first += kRangeSize) {
      slots_.push_back(static_cast<std::uint32_t>(first));
    }
  }
  std::sort(slots_.begin(), slots_.end());
  std::set<std::uint32_t> unused(slots_.begin(), slots_.end());
  std::vector<std::uint32_t> used_before;
  for (const std::uint32_t first : freed) {
    if (unused.erase(first) != 0) used_before.push_back(first);
  }
  free_.assign(unused.begin(), unused.end());
  free_.insert(free_.end(), used_before.begin(), used_before.end());
}

const std::string* RangeAllocator::holder_of(const HeldRanges& ranges) const {
  for (const auto& [id, held] : held_) {
    if (held.overlaps(ranges) && !held.may_be_shared_by(ranges)) return &id;
  }
  return nullptr;
}

bool RangeAllocator::is_held(const HeldRanges& ranges) const {
  return std::any_of(held_.begin(), held_.end(),
                     [&ranges](const auto& entry) { return entry.second.overlaps(ranges); });
}

const std::string* RangeAllocator::unproven_maker(const HeldRanges& joiner) const {
  for (const auto& [id, held] : held_) {
    if (held.user_namespace == 0 && held.may_be_shared_by(joiner)) return &id;
  }
  return nullptr;
}

bool RangeAllocator::knows_namespace(std::uint64_t user_namespace) const {
  return user_namespace != 0 &&
         std::any_of(held_.begin(), held_.end(), [user_namespace](const auto& entry) {
           return entry.second.user_namespace == user_namespace;
         });
}

bool RangeAllocator::is_slot(const HeldRanges& ranges) const {
  return ranges.uids == ranges.gids && ranges.uids.count == kRangeSize &&
         std::binary_search(slots_.begin(), slots_.end(), ranges.uids.first);
}

Result<IdRange> RangeAllocator::take(const std::string& id) {
  // Ranges that an engine gave may lie across the pool's: those are passed over.
  const auto usable = [this](std::uint32_t first) {
    const IdRange range{first, kRangeSize};
    return holder_of({range, range}) == nullptr;
  };
  const auto found = std::find_if(free_.begin(), free_.end(), usable);
  if (found == free_.end()) {
    return Error(ENOSPC, join("all ", slots_.size(), " ranges of ", kRangeSize,
                              " host ids are in use by containers"));
  }
  const IdRange range{*found, kRangeSize};
  free_.erase(found);
  held_[id] = {range, range};
  return range;
}

Result<void> RangeAllocator::hold(const std::string& id, const HeldRanges& ranges) {
  if (const std::string* holder = holder_of(ranges)) {
    const HeldRanges& theirs = held_.at(*holder);
    const bool by_uid = theirs.uids.overlaps(ranges.uids);
    const IdRange& mine = by_uid ? ranges.uids : ranges.gids;
    const IdRange& other = by_uid ? theirs.uids : theirs.gids;
    return Error(EBUSY, join("host ", by_uid ? "uids " : "gids ", mine.first, " to ",
                             mine.end() - 1, " overlap those of container '", *holder, "' (",
                             other.first, " to ", other.end() - 1, ")"));
  }
  if (is_slot(ranges)) std::erase(free_, ranges.uids.first);
  for (auto& [other_id, other] : held_) {
    if (other.overlaps(ranges)) other.user_namespace = ranges.user_namespace;
  }
  held_[id] = ranges;
  return {};
}

bool RangeAllocator::release(const std::string& id) {
  const auto found = held_.find(id);
  if (found == held_.end()) return false;
  const HeldRanges ranges = found->second;
  held_.erase(found);
  if (is_slot(ranges) && !is_held(ranges)) free_.push_back(ranges.uids.first);
  return true;
}

std::vector<IdRange> RangeAllocator::unheld_slots_in(const IdRange& ids) const {
  std::vector<IdRange> slots;
  for (const std::uint32_t first : slots_) {
    const IdRange range{first, kRangeSize};
    if (range.overlaps(ids) && holder_of({range, range}) == nullptr) slots.push_back(range);
  }
  return slots;
}

}  // namespace sysbox::mgr

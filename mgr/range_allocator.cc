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

std::vector<std::uint32_t> RangeAllocator::slots_of(const HeldRanges& ranges) const {
  std::vector<std::uint32_t> firsts;
  if (ranges.uids != ranges.gids || ranges.uids.count % kRangeSize != 0) return firsts;
  for (std::uint64_t first = ranges.uids.first; first < ranges.uids.end(); first += kRangeSize) {
    firsts.push_back(static_cast<std::uint32_t>(first));
  }
  if (!std::includes(slots_.begin(), slots_.end(), firsts.begin(), firsts.end())) firsts.clear();
  return firsts;
}

Result<IdRange> RangeAllocator::take(const std::string& id, std::uint32_t count) {
  const std::uint64_t wanted = (std::uint64_t{count} + kRangeSize - 1) / kRangeSize;
  // Ranges that an engine gave may lie across the pool's: those are passed over.
  const auto usable = [this](std::uint32_t first) {
    const IdRange range{first, kRangeSize};
    return holder_of({range, range}) == nullptr;
  };
  // Of the free ones, in their order, the fewest among which there are enough in a row.
  std::set<std::uint64_t> considered;
  for (const std::uint32_t slot : free_) {
    if (!usable(slot)) continue;
    considered.insert(slot);
    std::uint64_t first = slot;
    std::uint64_t end = std::uint64_t{slot} + kRangeSize;
    while (first >= kRangeSize && considered.contains(first - kRangeSize)) first -= kRangeSize;
    while (considered.contains(end)) end += kRangeSize;
    if (end - first < wanted * kRangeSize) continue;
    const IdRange range{static_cast<std::uint32_t>(first),
                        static_cast<std::uint32_t>(wanted * kRangeSize)};
    TRY(hold(id, {range, range}));
    return range;
  }
  if (considered.empty()) {
    return Error(ENOSPC, join("all ", slots_.size(), " ranges of ", kRangeSize,
                              " host ids are in use by containers"));
  }
  return Error(ENOSPC, join("no ", wanted * kRangeSize, " host ids in a row are free: of ",
                            slots_.size(), " ranges of ", kRangeSize, ", ", considered.size(),
                            " are not in use by containers"));
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
  for (const std::uint32_t slot : slots_of(ranges)) std::erase(free_, slot);
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
  if (is_held(ranges)) return true;
  for (const std::uint32_t slot : slots_of(ranges)) free_.push_back(slot);
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

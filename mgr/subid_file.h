#pragma once

// /etc/subuid and /etc/subgid (subuid(5)): which host ids are whose to give to containers. The
// pool is what the entries of one user, "sysbox", have in common in both files; if there are
// none they are made.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/id_range.h"
#include "common/result.h"

namespace sysbox::mgr {

struct SubidEntry {
  std::string user;
  IdRange range;

  bool operator==(const SubidEntry&) const = default;
};

// Lines that are no entry (comments, mistakes) are left out, as other readers of the file do.
std::vector<SubidEntry> parse_subid(std::string_view text);
// `text` with one more line; all that stood there stays as it is.
std::string with_entry(std::string_view text, const SubidEntry& entry);

// SUB_UID_MIN … SUB_GID_MAX of /etc/login.defs (login.defs(5)): where new entries may lie.
struct IdBounds {
  std::uint32_t first = 100000;
  std::uint32_t last = 600100000;
};
IdBounds parse_login_defs(std::string_view text);

// The first stretch of `wanted` ids within `bounds` that no range in `taken` overlaps; failing
// that, the longest there is, cut to a multiple of 65536. Nothing if that is 0.
std::optional<IdRange> find_hole(std::vector<IdRange> taken, IdBounds bounds, std::uint32_t wanted);

struct IdPool {
  std::vector<IdRange> ranges;  // sorted, apart from each other
  std::vector<std::string> warnings;
};
// Where the user's entries in both files agree, without what an entry of another user overlaps
// and without the host's own ids (below 65536).
IdPool usable_pool(const std::string& user, const std::vector<SubidEntry>& uids,
                   const std::vector<SubidEntry>& gids);

struct SubidFiles {
  std::string user = "sysbox";
  std::string uid_path = "/etc/subuid";
  std::string gid_path = "/etc/subgid";
  std::string login_defs_path = "/etc/login.defs";
};
// Reads the pool; writes an entry to a file that has none for the user (the same numbers to
// both). An empty pool is an error that shows both files' entries.
Result<IdPool> read_or_create_pool(const SubidFiles& files);

}  // namespace sysbox::mgr

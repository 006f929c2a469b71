#include "seccomp-notify/mount_id_maps.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string_view>

#include "common/id_map_text.h"
#include "seccomp-notify/mount_numbers.h"

namespace sysbox::seccomp {
namespace {

// Newer than Debian 12's headers.
constexpr long kSysOpenTreeAttr = 467;
constexpr std::uint64_t kStatmountUidMap = 0x2000;
constexpr std::uint64_t kStatmountGidMap = 0x4000;

// Where in the texts the lines of a map are, and how many.
struct Lines {
  std::uint32_t count;
  std::uint32_t start;
};
// struct statmount of Linux 6.15.
struct Answer {
  std::uint32_t size;
  std::uint32_t options;
  std::uint64_t mask;
  std::array<std::uint64_t, 16> not_asked_for;
  std::uint64_t supported_mask;
  Lines uids;
  Lines gids;
  std::array<std::uint64_t, 43> spare;
  std::array<char, 32768> texts;  // two maps of the kernel's longest, 340 lines each
};
static_assert(offsetof(Answer, uids) == 152);
static_assert(offsetof(Answer, texts) == 512);

// Each line is a text of its own.
Result<IdMap> parse_lines(const Answer& answer, const Lines& lines) {
  IdMap map;
  std::size_t at = lines.start;
  for (std::uint32_t i = 0; i < lines.count; ++i) {
    if (at >= answer.texts.size()) return errno_error(EIO, "ids of a mount");
    const char* const line = answer.texts.data() + at;
    const std::string_view text(line, ::strnlen(line, answer.texts.size() - at));
    const IdMap parsed = parse_id_map_text(text);
    if (parsed.entries.size() != 1) return errno_error(EIO, "ids of a mount");
    map.entries.push_back(parsed.entries.front());
    at += text.size() + 1;
  }
  return map;
}

using FirstOf = std::uint32_t IdMapEntry::*;

// Whether `count` ids from `first` on are all in entries of the map, on that side of it.
bool covers(const IdMap& map, FirstOf side, std::uint32_t first, std::uint32_t count) {
  const std::uint64_t end = std::uint64_t{first} + count;
  for (std::uint64_t at = first; at < end;) {
    const auto holds = [&](const IdMapEntry& entry) {
      return at >= entry.*side && at - entry.*side < entry.count;
    };
    const auto entry = std::find_if(map.entries.begin(), map.entries.end(), holds);
    if (entry == map.entries.end()) return false;
    at = std::uint64_t{(*entry).*side} + entry->count;
  }
  return true;
}

bool is_within(const IdMap& part, const IdMap& whole) {
  return std::all_of(part.entries.begin(), part.entries.end(), [&](const IdMapEntry& entry) {
    return covers(whole, &IdMapEntry::container_first, entry.container_first, entry.count) &&
           covers(whole, &IdMapEntry::host_first, entry.host_first, entry.count);
  });
}

}  // namespace

bool is_within(const MountIdMaps& part, const MountIdMaps& whole) {
  return is_within(part.uids, whole.uids) && is_within(part.gids, whole.gids);
}

Result<std::optional<MountIdMaps>> read_mount_id_maps(std::uint64_t mount) {
  const auto answer = std::make_unique<Answer>();
  constexpr std::uint64_t kSupported = 0x1000;  // STATMOUNT_SUPPORTED_MASK
  constexpr std::uint64_t kMaps = kStatmountUidMap | kStatmountGidMap;
  TRY(statmount({.mount = mount, .parameters = kSupported | kMaps}, *answer));
  if ((answer->mask & kSupported) == 0 || (answer->supported_mask & kMaps) != kMaps) {
    return errno_error(ENOTSUP, "ids of a mount");
  }
  if ((answer->mask & kMaps) == 0) return std::optional<MountIdMaps>();
  MountIdMaps maps;
  maps.uids = TRY(parse_lines(*answer, answer->uids));
  maps.gids = TRY(parse_lines(*answer, answer->gids));
  return std::optional(std::move(maps));
}

Result<UniqueFd> clone_with_attributes(int place_fd, const sys::MountAttributes& attributes) {
  struct mount_attr wanted {};
  wanted.attr_set = attributes.set;
  wanted.attr_clr = attributes.clear;
  wanted.propagation = attributes.propagation;
  if (attributes.userns_fd >= 0)
    wanted.userns_fd = static_cast<std::uint64_t>(attributes.userns_fd);
  const long fd =
      ::syscall(kSysOpenTreeAttr, place_fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC,
                &wanted, sizeof wanted);
  if (fd < 0) return last_error("open_tree_attr");
  return UniqueFd(static_cast<int>(fd));
}

}  // namespace sysbox::seccomp

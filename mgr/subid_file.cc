#include "mgr/subid_file.h"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iterator>
#include <thread>

#include "common/root_dir.h"
#include "common/syscalls.h"
#include "mgr/range_allocator.h"

namespace sysbox::mgr {
namespace {

using namespace std::chrono_literals;

// 4096 containers, as large installations of this kind reserve them.
constexpr std::uint32_t kWantedIds = 4096 * kRangeSize;
// Below are the host's users, system users, and the overflow id 65534.
constexpr std::uint32_t kFirstUsableId = 65536;
constexpr std::uint32_t kNoId = 0xffffffff;
constexpr auto kLockTimeout = 5s;

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Calls `use` for each line, without its newline.
template <typename Use>
void for_each_line(std::string_view text, Use use) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    use(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::vector<IdRange> ranges_of(const std::string& user, const std::vector<SubidEntry>& entries) {
  std::vector<IdRange> ranges;
  for (const SubidEntry& entry : entries) {
    if (entry.user == user) ranges.push_back(entry.range);
  }
  return ranges;
}

// Sorted, overlapping and adjacent ranges made one.
std::vector<IdRange> merged(std::vector<IdRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const IdRange& a, const IdRange& b) { return a.first < b.first; });
  std::vector<IdRange> out;
  for (const IdRange& range : ranges) {
    if (out.empty() || range.first > out.back().end()) {
      out.push_back(range);
    } else if (range.end() > out.back().end()) {
      out.back().count = static_cast<std::uint32_t>(range.end() - out.back().first);
    }
  }
  return out;
}

IdRange between(std::uint64_t first, std::uint64_t end) {
  return {static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(end - first)};
}

std::vector<IdRange> in_both(const std::vector<IdRange>& left, const std::vector<IdRange>& right) {
  std::vector<IdRange> out;
  for (const IdRange& a : left) {
    for (const IdRange& b : right) {
      const std::uint64_t first = std::max(a.first, b.first);
      const std::uint64_t end = std::min(a.end(), b.end());
      if (first < end) out.push_back(between(first, end));
    }
  }
  return merged(std::move(out));
}

std::vector<IdRange> without(const std::vector<IdRange>& ranges, const IdRange& cut) {
  std::vector<IdRange> out;
  for (const IdRange& range : ranges) {
    if (!range.overlaps(cut)) {
      out.push_back(range);
      continue;
    }
    if (range.first < cut.first) out.push_back(between(range.first, cut.first));
    if (cut.end() < range.end()) out.push_back(between(cut.end(), range.end()));
  }
  return out;
}

std::string entry_text(const SubidEntry& entry) {
  return join(entry.user, ":", entry.range.first, ":", entry.range.count);
}

std::string entries_text(const std::string& user, const std::vector<SubidEntry>& entries) {
  std::string text;
  for (const SubidEntry& entry : entries) {
    if (entry.user == user) text += (text.empty() ? "" : ", ") + entry_text(entry);
  }
  return text.empty() ? "none" : text;
}

// The lock that useradd and usermod take (shadow's PATH.lock, holding a pid), so that they do
// not write the file meanwhile. Removed when this goes.
class ShadowLock {
 public:
  static Result<ShadowLock> take(const std::string& path) {
    std::string lock_path = path + ".lock";
    const Deadline deadline = after(kLockTimeout);
    for (;;) {
      Result<UniqueFd> file = sys::open(lock_path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
      if (file.ok()) {
        ShadowLock lock(std::move(lock_path));
        TRY(sys::write_all(file.value().get(), std::to_string(::getpid())).in(lock.path_));
        return lock;
      }
      if (file.error().code() != EEXIST) return std::move(file).error();
      if (holder_is_gone(lock_path)) {
        ::unlink(lock_path.c_str());
      } else if (milliseconds_until(deadline) == 0) {
        return Error(EBUSY, join("'", lock_path, "' is held by another program"));
      } else {
        std::this_thread::sleep_for(20ms);
      }
    }
  }
  ShadowLock(ShadowLock&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ShadowLock& operator=(ShadowLock&&) = delete;
  ShadowLock(const ShadowLock&) = delete;
  ShadowLock& operator=(const ShadowLock&) = delete;
  ~ShadowLock() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

 private:
  explicit ShadowLock(std::string path) : path_(std::move(path)) {}

  static bool holder_is_gone(const std::string& lock_path) {
    Result<std::string> text = sys::read_file(lock_path);
    if (!text.ok()) return false;
    std::string_view digits = text.value();
    while (!digits.empty() && (digits.back() == '\0' || digits.back() == '\n')) {
      digits.remove_suffix(1);
    }
    const std::optional<pid_t> pid = parse_number<pid_t>(digits);
    return pid && *pid > 0 && ::kill(*pid, 0) != 0 && errno == ESRCH;
  }

  std::string path_;
};

Result<std::string> read_or_empty(const std::string& path) {
  Result<std::string> text = sys::read_file(path);
  if (!text.ok() && text.error().code() == ENOENT) return std::string();
  return text;
}

// A new file beside `path` with its mode and owner, complete on disk, takes its place.
Result<void> replace_with(const std::string& path, const std::string& text) {
  struct stat old {};
  old.st_mode = S_IFREG | 0644;
  if (::lstat(path.c_str(), &old) != 0 && errno != ENOENT) return last_error("stat '", path, "'");
  if (!S_ISREG(old.st_mode)) return Error(EINVAL, join("'", path, "' is not a regular file"));
  const std::string temporary = path + ".sysbox-mgr";
  const auto write_new = [&]() -> Result<void> {
    const UniqueFd file =
        TRY(sys::open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
    TRY(sys::write_all(file.get(), text).in(temporary));
    TRY(sys::fchownat(file.get(), "", old.st_uid, old.st_gid, AT_EMPTY_PATH));
    TRY(sys::fchmod(file.get(), old.st_mode & 07777));
    TRY(sys::fsync(file.get()));
    return sys::renameat(AT_FDCWD, temporary, AT_FDCWD, path);
  };
  Result<void> written = write_new();
  if (!written.ok()) {
    ::unlink(temporary.c_str());
    return written;
  }
  const std::string parent = path.substr(0, path.rfind('/') + 1);
  const UniqueFd directory = TRY(sys::open(parent.empty() ? "." : parent, O_RDONLY | O_DIRECTORY));
  return sys::fsync(directory.get()).in(parent);
}

// Adds `entries` to the file; says by hand what to add if that fails (a read-only /etc).
Result<void> add_entries(const std::string& path, const std::vector<SubidEntry>& entries) {
  std::string by_hand;
  for (const SubidEntry& entry : entries) by_hand += join(" '", entry_text(entry), "'");
  const auto add = [&]() -> Result<void> {
    std::string text = TRY(read_or_empty(path));
    for (const SubidEntry& entry : entries) text = with_entry(text, entry);
    return replace_with(path, text);
  };
  Result<void> added = add();
  if (added.ok()) return added;
  return Error(added.error().code(),
               join("cannot add ids for containers to ", path, ": ", added.error().message(),
                    "; add the line", by_hand, " to it yourself"));
}

// What is missing in which file: the other file's numbers, or a hole that is free in both.
Result<std::vector<SubidEntry>> plan_entries(const SubidFiles& files,
                                             const std::vector<SubidEntry>& uids,
                                             const std::vector<SubidEntry>& gids) {
  std::vector<SubidEntry> all = uids;
  all.insert(all.end(), gids.begin(), gids.end());
  std::vector<SubidEntry> entries;
  std::copy_if(all.begin(), all.end(), std::back_inserter(entries),
               [&files](const SubidEntry& entry) { return entry.user == files.user; });
  if (!entries.empty()) return entries;

  std::vector<IdRange> taken;
  std::transform(all.begin(), all.end(), std::back_inserter(taken),
                 [](const SubidEntry& entry) { return entry.range; });
  const IdBounds bounds = parse_login_defs(TRY(read_or_empty(files.login_defs_path)));
  const std::optional<IdRange> hole = find_hole(std::move(taken), bounds, kWantedIds);
  if (!hole) {
    return Error(ENOSPC, join("no ", kRangeSize, " ids in a row are free between ", bounds.first,
                              " and ", bounds.last, " in ", files.uid_path, " and ", files.gid_path,
                              ": remove entries there, or raise SUB_UID_MAX and ",
                              "SUB_GID_MAX in ", files.login_defs_path));
  }
  entries.push_back({files.user, *hole});
  return entries;
}

}  // namespace

std::vector<SubidEntry> parse_subid(std::string_view text) {
  std::vector<SubidEntry> entries;
  for_each_line(text, [&entries](std::string_view line) {
    const std::size_t first_colon = line.find(':');
    const std::size_t second_colon = line.find(':', first_colon + 1);
    if (line.starts_with('#') || first_colon == 0 || first_colon == std::string_view::npos ||
        second_colon == std::string_view::npos) {
      return;
    }
    const auto first =
        parse_number<std::uint32_t>(line.substr(first_colon + 1, second_colon - first_colon - 1));
    const auto count = parse_number<std::uint64_t>(line.substr(second_colon + 1));
    if (!first || !count || *count == 0) return;
    // Some distributions' tools write counts that go past the last id.
    const std::uint64_t end =
        std::min(*first + std::min<std::uint64_t>(*count, kNoId), std::uint64_t{kNoId});
    if (end > *first) {
      entries.push_back({std::string(line.substr(0, first_colon)), between(*first, end)});
    }
  });
  return entries;
}

std::string with_entry(std::string_view text, const SubidEntry& entry) {
  std::string out(text);
  if (!out.empty() && !out.ends_with('\n')) out += '\n';
  return out + entry_text(entry) + "\n";
}

IdBounds parse_login_defs(std::string_view text) {
  IdBounds bounds;
  std::uint32_t last = bounds.last;
  bool last_is_set = false;
  for_each_line(text, [&](std::string_view line) {
    constexpr std::string_view kBlank = " \t";
    const std::size_t key_start = std::min(line.find_first_not_of(kBlank), line.size());
    const std::size_t key_end = std::min(line.find_first_of(kBlank, key_start), line.size());
    const std::size_t value_start = std::min(line.find_first_not_of(kBlank, key_end), line.size());
    const std::size_t value_end = std::min(line.find_first_of(kBlank, value_start), line.size());
    const std::string_view key = line.substr(key_start, key_end - key_start);
    const auto value =
        parse_number<std::uint32_t>(line.substr(value_start, value_end - value_start));
    if (!value) return;
    if (key == "SUB_UID_MIN" || key == "SUB_GID_MIN") {
      bounds.first = std::max(bounds.first, *value);
    } else if (key == "SUB_UID_MAX" || key == "SUB_GID_MAX") {
      last = last_is_set ? std::min(last, *value) : *value;
      last_is_set = true;
    }
  });
  bounds.last = std::min(last, kNoId - 1);
  return bounds;
}

std::optional<IdRange> find_hole(std::vector<IdRange> taken, IdBounds bounds,
                                 std::uint32_t wanted) {
  std::vector<IdRange> holes;
  if (bounds.first <= bounds.last) {
    holes.push_back(between(bounds.first, std::uint64_t{bounds.last} + 1));
  }
  for (const IdRange& range : merged(std::move(taken))) holes = without(holes, range);
  std::optional<IdRange> longest;
  for (const IdRange& hole : holes) {
    if (hole.count >= wanted) return IdRange{hole.first, wanted};
    const IdRange whole_ranges{hole.first, hole.count / kRangeSize * kRangeSize};
    if (whole_ranges.count > (longest ? longest->count : 0)) longest = whole_ranges;
  }
  return longest;
}

IdPool usable_pool(const std::string& user, const std::vector<SubidEntry>& uids,
                   const std::vector<SubidEntry>& gids) {
  IdPool pool;
  pool.ranges = in_both(merged(ranges_of(user, uids)), merged(ranges_of(user, gids)));
  const auto cut = [&pool](const IdRange& range, const std::string& why) {
    const auto hits = [&range](const IdRange& part) { return part.overlaps(range); };
    if (std::none_of(pool.ranges.begin(), pool.ranges.end(), hits)) return;
    pool.ranges = without(pool.ranges, range);
    pool.warnings.push_back(
        join("ids ", range.first, " to ", range.end() - 1, " are not used for containers: ", why));
  };
  cut({0, kFirstUsableId}, "the host's own users are there");
  for (const std::vector<SubidEntry>* entries : {&uids, &gids}) {
    for (const SubidEntry& entry : *entries) {
      if (entry.user != user) cut(entry.range, join("they are also '", entry.user, "''s"));
    }
  }
  return pool;
}

Result<IdPool> read_or_create_pool(const SubidFiles& files) {
  std::vector<SubidEntry> uids = parse_subid(TRY(read_or_empty(files.uid_path)));
  std::vector<SubidEntry> gids = parse_subid(TRY(read_or_empty(files.gid_path)));
  const auto lacks_entry = [&files](const std::vector<SubidEntry>& entries) {
    return ranges_of(files.user, entries).empty();
  };
  if (lacks_entry(uids) || lacks_entry(gids)) {
    const std::vector<SubidEntry> entries = TRY(plan_entries(files, uids, gids));
    const ShadowLock uid_lock = TRY(ShadowLock::take(files.uid_path));
    const ShadowLock gid_lock = TRY(ShadowLock::take(files.gid_path));
    if (lacks_entry(uids)) TRY(add_entries(files.uid_path, entries));
    if (lacks_entry(gids)) TRY(add_entries(files.gid_path, entries));
    uids = parse_subid(TRY(read_or_empty(files.uid_path)));
    gids = parse_subid(TRY(read_or_empty(files.gid_path)));
  }
  IdPool pool = usable_pool(files.user, uids, gids);
  const auto holds_a_range = [](const IdRange& range) { return range.count >= kRangeSize; };
  if (std::none_of(pool.ranges.begin(), pool.ranges.end(), holds_a_range)) {
    return Error(EINVAL, join("no ", kRangeSize, " ids in a row are usable for containers: ",
                              files.uid_path, " has ", entries_text(files.user, uids), "; ",
                              files.gid_path, " has ", entries_text(files.user, gids),
                              "; both need the same numbers, apart from other users'"));
  }
  return pool;
}

}  // namespace sysbox::mgr

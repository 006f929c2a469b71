#include "mgr/range_journal.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/id_range_json.h"
#include "common/json_fields.h"
#include "common/state_file.h"
#include "common/syscalls.h"
#include "mgr/api_json.h"

namespace sysbox::mgr {
namespace {

constexpr int kVersion = 1;
constexpr const char* kFileName = "ranges.journal";
constexpr std::size_t kSlackBytes = 1U << 20U;

std::string take_line(const std::string& id, const JournalEntry& entry) {
  nlohmann::json line = {{"take", id},
                         {"uids", to_json(entry.ranges.uids)},
                         {"gids", to_json(entry.ranges.gids)},
                         {"pid", entry.registrant.pid},
                         {"start_time", entry.registrant.start_time}};
  if (entry.ranges.user_namespace != 0) line["user_namespace"] = entry.ranges.user_namespace;
  return line.dump() + "\n";
}

Result<void> apply_header(const nlohmann::json& line) {
  int version = 0;
  JsonFields fields(line, "");
  fields.required("version", version);
  TRY(std::move(fields).finish());
  if (version != kVersion) {
    return Error(EINVAL, join("version ", version, "; this program knows version ", kVersion));
  }
  return {};
}

Result<void> apply_take(const nlohmann::json& line, JournalContents& contents) {
  std::string id;
  JournalEntry entry;
  JsonFields fields(line, "");
  fields.required("take", id);
  fields.optional_object("uids", entry.ranges.uids, parse_id_range);
  fields.optional_object("gids", entry.ranges.gids, parse_id_range);
  fields.optional("user_namespace", entry.ranges.user_namespace);
  fields.optional("pid", entry.registrant.pid);
  fields.optional("start_time", entry.registrant.start_time);
  TRY(std::move(fields).finish());
  if (entry.ranges.uids.count == 0 || entry.ranges.gids.count == 0) {
    return Error(EINVAL, join("'", id, "' has no ids"));
  }
  for (auto& [other_id, other] : contents.live) {
    if (other_id != id && !other.ranges.overlaps(entry.ranges)) continue;
    if (other_id == id || !other.ranges.may_be_shared_by(entry.ranges)) {
      return Error(EINVAL, join("'", id, "' and '", other_id, "' hold the same ids"));
    }
    other.ranges.user_namespace = entry.ranges.user_namespace;
  }
  std::erase_if(contents.freed,
                [&entry](std::uint32_t first) { return entry.ranges.uids.contains(first); });
  contents.live.emplace(std::move(id), entry);
  return {};
}

Result<void> apply_release(const nlohmann::json& line, JournalContents& contents) {
  std::string id;
  JsonFields fields(line, "");
  fields.required("release", id);
  TRY(std::move(fields).finish());
  const auto found = contents.live.find(id);
  if (found == contents.live.end()) return Error(EINVAL, join("'", id, "' held no ids"));
  const HeldRanges ranges = found->second.ranges;
  contents.live.erase(found);
  const bool is_shared =
      std::any_of(contents.live.begin(), contents.live.end(),
                  [&ranges](const auto& other) { return other.second.ranges.overlaps(ranges); });
  if (is_shared) return {};
  for (std::uint64_t first = ranges.uids.first; first < ranges.uids.end(); first += kRangeSize) {
    contents.freed.push_back(static_cast<std::uint32_t>(first));
  }
  return {};
}

Result<void> apply_line(std::string_view text, bool is_first, JournalContents& contents) {
  const nlohmann::json line = TRY(parse_json(text));
  if (is_first) return apply_header(line);
  JsonFields fields(line, "");
  if (fields.find("take") != nullptr) return apply_take(line, contents);
  if (fields.find("release") != nullptr) return apply_release(line, contents);
  fields.optional("freed", contents.freed);
  return std::move(fields).finish();
}

}  // namespace

Result<JournalContents> parse_journal(std::string_view text, std::size_t& whole_bytes) {
  JournalContents contents;
  whole_bytes = 0;
  for (int number = 1; whole_bytes < text.size(); ++number) {
    const std::size_t end = text.find('\n', whole_bytes);
    if (end == std::string_view::npos) break;
    TRY(apply_line(text.substr(whole_bytes, end - whole_bytes), number == 1, contents)
            .in(join("line ", number)));
    whole_bytes = end + 1;
  }
  return contents;
}

std::string format_journal(const JournalContents& contents) {
  std::string text = nlohmann::json{{"version", kVersion}}.dump() + "\n";
  for (const auto& [id, entry] : contents.live) text += take_line(id, entry);
  if (!contents.freed.empty()) text += nlohmann::json{{"freed", contents.freed}}.dump() + "\n";
  return text;
}

Result<RangeJournal::Opened> RangeJournal::open(const std::string& directory) {
  UniqueFd directory_fd = TRY(sys::open(directory, O_PATH | O_DIRECTORY));
  Opened opened{RangeJournal(join(directory, "/", kFileName), std::move(directory_fd)), {}, {}};
  RangeJournal& journal = opened.journal;
  Result<std::string> text = sys::read_file_at(journal.directory_.get(), kFileName);
  if (!text.ok() && text.error().code() != ENOENT && text.error().code() != EFBIG) {
    return std::move(text).error().in(directory);
  }
  std::size_t whole_bytes = 0;
  Result<JournalContents> contents =
      text.ok() ? parse_journal(text.value(), whole_bytes) : JournalContents{};
  if (!text.ok() && text.error().code() == EFBIG) contents = std::move(text).error();
  if (contents.ok()) {
    opened.contents = std::move(contents).value();
  } else {
    TRY(sys::renameat(journal.directory_.get(), kFileName, journal.directory_.get(),
                      join(kFileName, ".corrupt"))
            .in(directory));
    opened.mistake = std::move(contents).error().in(journal.path_);
  }
  // Also cuts off the line that a dying daemon left unfinished.
  TRY(journal.replace(opened.contents));
  return opened;
}

Result<void> RangeJournal::record_take(const std::string& id, const JournalEntry& entry) {
  return append(take_line(id, entry));
}

Result<void> RangeJournal::record_release(const std::string& id) {
  return append(nlohmann::json{{"release", id}}.dump() + "\n");
}

Result<void> RangeJournal::open_file() {
  file_ = TRY(sys::openat(directory_.get(), kFileName, O_WRONLY | O_APPEND | O_NOFOLLOW).in(path_));
  return {};
}

Result<void> RangeJournal::append(const std::string& line) {
  if (!file_) TRY(open_file());
  const Result<void> written = sys::write_all(file_.get(), line);
  if (!written.ok()) {
    // A full disk may have taken half of it.
    if (const Result<void> cut = sys::ftruncate(file_.get(), static_cast<off_t>(size_bytes_));
        !cut.ok()) {
      return Error(cut.error().code(), join(path_, ": ", cut.error().message()));
    }
    return Error(written.error().code(), join(path_, ": ", written.error().message()));
  }
  size_bytes_ += line.size();
  return {};
}

bool RangeJournal::is_long() const { return size_bytes_ > 2 * compact_bytes_ + kSlackBytes; }

Result<void> RangeJournal::replace(const JournalContents& contents) {
  const std::string text = format_journal(contents);
  TRY(replace_file(directory_.get(), kFileName, text, Durability::kProcessCrash).in(path_));
  file_.reset();  // the old file has no name any more: nothing may be written to it
  size_bytes_ = text.size();
  compact_bytes_ = text.size();
  return open_file();
}

}  // namespace sysbox::mgr

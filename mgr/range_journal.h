#pragma once

// RangeJournal: which container holds which ids, on disk. A file of JSON lines: each allotment
// and each return is appended by one write(2), so that a start-up costs microseconds however
// many containers run; now and then the file is replaced by a short one of the same meaning.
// It outlives the daemon's death at any moment, not the machine's: containers do not either.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "mgr/live_processes.h"
#include "mgr/range_allocator.h"

namespace sysbox::mgr {

struct JournalEntry {
  HeldRanges ranges;
  ProcessIdentity registrant;

  bool operator==(const JournalEntry&) const = default;
};

struct JournalContents {
  std::map<std::string, JournalEntry> live;  // by container id
  std::vector<std::uint32_t> freed;          // first ids, least recently freed first
};

// EINVAL names the line of a mistake. A last line without its newline is left out: the daemon
// died while it wrote it, before it answered; `whole_bytes` tells where it starts.
Result<JournalContents> parse_journal(std::string_view text, std::size_t& whole_bytes);
std::string format_journal(const JournalContents& contents);

class RangeJournal {
 public:
  struct Opened;
  // Reads `directory`/ranges.journal, or starts an empty one. One that cannot be read is moved
  // to ranges.journal.corrupt and `mistake` says so.
  static Result<Opened> open(const std::string& directory);

  Result<void> record_take(const std::string& id, const JournalEntry& entry);
  Result<void> record_release(const std::string& id);

  // True when the file has grown much longer than its meaning.
  bool is_long() const;
  Result<void> replace(const JournalContents& contents);

 private:
  RangeJournal(std::string path, UniqueFd directory)
      : path_(std::move(path)), directory_(std::move(directory)) {}
  Result<void> append(const std::string& line);
  Result<void> open_file();

  std::string path_;
  UniqueFd directory_;
  UniqueFd file_;
  std::size_t size_bytes_ = 0;
  std::size_t compact_bytes_ = 0;  // the size after the last replace()
};

struct RangeJournal::Opened {
  RangeJournal journal;
  JournalContents contents;
  std::optional<Error> mistake;
};

}  // namespace sysbox::mgr

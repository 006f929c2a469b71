#pragma once

// RequestJournal: the requests of containers that this daemon has received and not answered yet,
// in memory that outlives it. The kernel writes each request right into it, so that after a kill
// at any moment the next sysbox-fs knows them all.

#include <bitset>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "seccomp-notify/call_journal.h"

namespace sysbox::fs {

// Where a worker reads FUSE requests into; sessions have none of their own.
class RequestBuffer {
 public:
  RequestBuffer();  // in memory of its own
  char* data() { return bytes_; }
  static std::size_t size();

  // The next request is one of this container's ("": of none); until done().
  void begin(std::string_view container);
  void done();

 private:
  friend class RequestJournal;
  RequestBuffer(char* container, char* bytes) : container_(container), bytes_(bytes) {}

  std::unique_ptr<char[]> own_bytes_;
  char* container_ = nullptr;  // in the journal
  char* bytes_;
};

// Its name among what is parked of the daemon itself.
inline constexpr const char* kJournalName = "requests";

class RequestJournal {
 public:
  static Result<std::unique_ptr<RequestJournal>> create();
  // An earlier process's. EPROTO if it is none that we know.
  static Result<std::unique_ptr<RequestJournal>> open(UniqueFd memory);
  ~RequestJournal();
  RequestJournal(const RequestJournal&) = delete;
  RequestJournal& operator=(const RequestJournal&) = delete;

  int fd() const { return memory_.get(); }

  // For the trapped calls; as long as this lives.
  std::shared_ptr<seccomp::CallJournal> calls() { return calls_; }

  // The FUSE requests of a container that an earlier process has left, whole.
  std::vector<std::span<char>> unanswered(std::string_view container);
  // No more of them is wanted, nor of the trapped calls.
  void drop_unanswered();

  static constexpr std::size_t kBuffers = 16;
  // One that holds nothing unanswered, for one worker. When all are given it has memory of its own.
  RequestBuffer take_buffer();

 private:
  struct Layout;
  RequestJournal(UniqueFd memory, Layout* layout);
  static Result<Layout*> map(int fd);

  const UniqueFd memory_;
  Layout* const layout_;
  std::bitset<kBuffers> given_;
  const std::shared_ptr<seccomp::CallJournal> calls_;
};

}  // namespace sysbox::fs

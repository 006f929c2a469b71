#pragma once

// The texts of one container's open files.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/result.h"

namespace sysbox::fs {

// A text once made is only read; the open files that were opened together share it.
using SharedText = std::shared_ptr<const std::string>;

// A text stays as long as its file is open, so that a reader in several steps sees one whole
// value, and is made anew when the file is read from the start again.
class OpenFiles {
 public:
  // ENOMEM beyond what one container may hold.
  Result<std::uint64_t> add(SharedText text);
  void release(std::uint64_t handle);

  // Nothing: a new text has to be made and given to replace(). That is so for a file that another
  // process opened before this daemon took over, too.
  std::optional<std::string> read(std::uint64_t handle, std::size_t size, std::uint64_t offset);
  std::string replace(std::uint64_t handle, SharedText text, std::size_t size,
                      std::uint64_t offset);
  void mark_stale(std::uint64_t handle);

 private:
  struct OpenFile {
    SharedText text;
    bool is_stale = false;  // made anew at the next read from the start
  };

  std::mutex mutex_;
  std::map<std::uint64_t, OpenFile> files_;
  std::size_t bytes_ = 0;
  std::uint64_t next_handle_ = first_handle();

  // Not one that an earlier daemon gave away: its files may still be open.
  static std::uint64_t first_handle();
  std::uint64_t new_handle(const SharedText& text);
};

}  // namespace sysbox::fs

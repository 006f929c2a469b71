#include "fs-emulator/open_files.h"

#include <algorithm>

#include "fs-emulator/container_view.h"

namespace sysbox::fs {
namespace {

// What the open files of one container may hold here; the kernel's own seq_files would be
// charged to the container, ours are not.
constexpr std::size_t kMaxBytes = 4U << 20U;
constexpr std::size_t kOverhead = 128;
constexpr unsigned kNumberBits = 40;
constexpr std::uint64_t kMaxLength = (std::uint64_t{1} << 24U) - 1;

std::size_t cost(const SharedText& text) { return text->size() + kOverhead; }

std::string slice(const std::string& text, std::size_t size, std::uint64_t offset) {
  return offset >= text.size() ? std::string() : text.substr(offset, size);
}

}  // namespace

// Microseconds: 40 bits of them are 12 days.
std::uint64_t OpenFiles::first_handle() { return read_clock().boot_ns / 1000; }

// The length of the text goes with the number, so that also a daemon that does not know the text
// knows where its reader is at its end.
std::uint64_t OpenFiles::new_handle(const SharedText& text) {
  const std::uint64_t length = std::min<std::uint64_t>(text->size(), kMaxLength);
  return (length << kNumberBits) | (next_handle_++ & ((std::uint64_t{1} << kNumberBits) - 1));
}

Result<std::uint64_t> OpenFiles::add(SharedText text) {
  const std::lock_guard lock(mutex_);
  if (bytes_ + cost(text) > kMaxBytes) return errno_error(ENOMEM, "open emulated file");
  bytes_ += cost(text);
  const std::uint64_t handle = new_handle(text);
  files_.emplace(handle, OpenFile{std::move(text), false});
  return handle;
}

void OpenFiles::release(std::uint64_t handle) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(handle);
  if (found == files_.end()) return;
  bytes_ -= cost(found->second.text);
  files_.erase(found);
}

std::optional<std::string> OpenFiles::read(std::uint64_t handle, std::size_t size,
                                           std::uint64_t offset) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(handle);
  if (found == files_.end()) {
    const std::uint64_t length = handle >> kNumberBits;
    if (offset != 0 && offset >= length && length != kMaxLength) return std::string();
    return {};
  }
  OpenFile& file = found->second;
  // Monitoring programs keep the file open and read it from the start again and again.
  if (offset == 0 && file.is_stale) return {};
  file.is_stale = true;
  return slice(*file.text, size, offset);
}

std::string OpenFiles::replace(std::uint64_t handle, SharedText text, std::size_t size,
                               std::uint64_t offset) {
  std::string bytes = slice(*text, size, offset);
  const std::lock_guard lock(mutex_);
  OpenFile& file = files_[handle];
  if (file.text) bytes_ -= cost(file.text);
  bytes_ += cost(text);
  file = {std::move(text), true};
  return bytes;
}

void OpenFiles::mark_stale(std::uint64_t handle) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(handle);
  if (found != files_.end()) found->second.is_stale = true;
}

}  // namespace sysbox::fs

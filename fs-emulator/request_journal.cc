#include "fs-emulator/request_journal.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "common/syscalls.h"

namespace sysbox::fs {
namespace {

constexpr std::uint64_t kMagic = 0x316c6a7278627379;  // "ysbxrjl1": with another layout, another
constexpr std::size_t kPageBytes = 4096;
// libfuse reads INIT with room for the largest request there is (256 pages and a header); pages
// that no request reaches are never touched.
constexpr std::size_t kRequestBufferBytes = (256U + 1U) * kPageBytes;
constexpr std::size_t kMaxIdBytes = 256;

std::uint32_t request_length(const char* bytes) {
  struct fuse_in_header header {};
  std::memcpy(&header, bytes, sizeof header);
  return header.len;
}

}  // namespace

struct RequestJournal::Layout {
  struct alignas(kPageBytes) Buffer {
    // At the head of a page of its own, so that the bytes begin one.
    alignas(kPageBytes) std::array<char, kMaxIdBytes> container;
    alignas(kPageBytes) std::array<char, kRequestBufferBytes> bytes;
  };
  std::uint64_t magic;
  alignas(kPageBytes) std::array<std::byte, seccomp::CallJournal::kBytes> calls;
  std::array<Buffer, kBuffers> buffers;
};

RequestBuffer::RequestBuffer()
    : own_bytes_(new char[kRequestBufferBytes]), bytes_(own_bytes_.get()) {}

std::size_t RequestBuffer::size() { return kRequestBufferBytes; }

void RequestBuffer::begin(std::string_view container) {
  done();
  if (container_ == nullptr) return;
  container_[container.copy(container_, kMaxIdBytes - 1)] = '\0';
}

// A request without a length is none.
void RequestBuffer::done() {
  if (container_ != nullptr) std::memset(bytes_, 0, sizeof(std::uint32_t));
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

Result<std::unique_ptr<RequestJournal>> RequestJournal::create() {
  UniqueFd memory(::memfd_create("sysbox-fs-requests", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return last_error("memfd_create");
  TRY(sys::ftruncate(memory.get(), sizeof(Layout)));
  if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return last_error("seal memory");
  }
  Layout* const layout = TRY(map(memory.get()));
  layout->magic = kMagic;
  return std::unique_ptr<RequestJournal>(new RequestJournal(std::move(memory), layout));
}

Result<std::unique_ptr<RequestJournal>> RequestJournal::open(UniqueFd memory) {
  const struct stat info = TRY(sys::fstat(memory.get()));
  const int seals = ::fcntl(memory.get(), F_GET_SEALS);
  const bool is_sealed = seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
  if (!is_sealed || info.st_size != sizeof(Layout)) {
    return Error(EPROTO, "journal of requests: is of another version of sysbox-fs");
  }
  Layout* const layout = TRY(map(memory.get()));
  if (layout->magic != kMagic) {
    ::munmap(layout, sizeof(Layout));
    return Error(EPROTO, "journal of requests: is of another version of sysbox-fs");
  }
  return std::unique_ptr<RequestJournal>(new RequestJournal(std::move(memory), layout));
}

Result<RequestJournal::Layout*> RequestJournal::map(int fd) {
  void* const mapped = ::mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) return last_error("map memory");
  return static_cast<Layout*>(mapped);
}

RequestJournal::RequestJournal(UniqueFd memory, Layout* layout)
    : memory_(std::move(memory)),
      layout_(layout),
      calls_(std::make_shared<seccomp::CallJournal>(std::span(layout->calls))) {}

// The trapped calls' part may be in use until the end of the process by a worker that hangs.
RequestJournal::~RequestJournal() {
  if (calls_.use_count() == 1) ::munmap(layout_, sizeof(Layout));
}

std::vector<std::span<char>> RequestJournal::unanswered(std::string_view container) {
  std::vector<std::span<char>> found;
  for (std::size_t i = 0; i < kBuffers; ++i) {
    Layout::Buffer& buffer = layout_->buffers[i];
    const std::uint32_t length = request_length(buffer.bytes.data());
    if (given_[i] || length < sizeof(struct fuse_in_header)) continue;
    const std::string_view owner(buffer.container.data(),
                                 ::strnlen(buffer.container.data(), buffer.container.size()));
    if (length > buffer.bytes.size() || owner != container) continue;
    found.emplace_back(buffer.bytes.data(), length);
  }
  return found;
}

void RequestJournal::drop_unanswered() {
  for (std::size_t i = 0; i < kBuffers; ++i) {
    Layout::Buffer& buffer = layout_->buffers[i];
    if (!given_[i]) RequestBuffer(buffer.container.data(), buffer.bytes.data()).done();
  }
  calls_->drop_unanswered();
}

RequestBuffer RequestJournal::take_buffer() {
  for (std::size_t i = 0; i < kBuffers; ++i) {
    Layout::Buffer& buffer = layout_->buffers[i];
    if (given_[i] || request_length(buffer.bytes.data()) != 0) continue;
    given_[i] = true;
    return {buffer.container.data(), buffer.bytes.data()};
  }
  return {};
}

}  // namespace sysbox::fs

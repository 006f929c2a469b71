#include "fs-emulator/kept_state.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <atomic>
#include <cstring>

#include "common/log.h"
#include "common/syscalls.h"

namespace sysbox::fs {
namespace {

constexpr std::uint64_t kMagic = 0x31746b7362737973;  // "sysbskt1": with another layout, another
constexpr std::size_t kPageBytes = 4096;

}  // namespace

// Each part has two places, of which one holds what is valid while the other is written. Pages
// that nothing was written to take no memory.
struct KeptState::Layout {
  struct Place {
    std::uint64_t size;
    std::array<char, kMaxPartBytes> bytes;
  };
  struct alignas(kPageBytes) Section {
    std::array<Place, 2> places;
  };
  std::uint64_t magic;
  std::array<std::atomic<std::uint32_t>, kPartCount> valid_place;
  std::array<Section, kPartCount> sections;
};

Result<std::unique_ptr<KeptState>> KeptState::create() {
  static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
  UniqueFd memory(::memfd_create("sysbox-fs-container", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return last_error("memfd_create");
  TRY(sys::ftruncate(memory.get(), sizeof(Layout)));
  // Who maps it must never meet a hole at its end.
  if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return last_error("seal memory");
  }
  void* const mapped =
      ::mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (mapped == MAP_FAILED) return last_error("map memory");
  auto* const layout = static_cast<Layout*>(mapped);
  layout->magic = kMagic;
  return std::unique_ptr<KeptState>(new KeptState(std::move(memory), layout));
}

Result<std::unique_ptr<KeptState>> KeptState::open(UniqueFd memory) {
  const struct stat info = TRY(sys::fstat(memory.get()));
  const int seals = ::fcntl(memory.get(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || info.st_size != sizeof(Layout)) {
    return Error(EPROTO, "kept state: is of another version of sysbox-fs");
  }
  void* const mapped =
      ::mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (mapped == MAP_FAILED) return last_error("map memory");
  std::unique_ptr<KeptState> state(new KeptState(std::move(memory), static_cast<Layout*>(mapped)));
  if (state->layout_->magic != kMagic) {
    return Error(EPROTO, "kept state: is of another version of sysbox-fs");
  }
  return state;
}

KeptState::~KeptState() { ::munmap(layout_, sizeof(Layout)); }

Result<void> KeptState::replace(Part part, std::string_view text) {
  if (text.size() > kMaxPartBytes) {
    return errno_error(E2BIG, "keep ", text.size(), " bytes of a container's state");
  }
  const auto index = static_cast<std::size_t>(part);
  std::atomic<std::uint32_t>& valid = layout_->valid_place[index];
  const std::uint32_t other = valid.load(std::memory_order_relaxed) == 0 ? 1 : 0;
  Layout::Place& place = layout_->sections[index].places[other];
  place.size = text.size();
  std::memcpy(place.bytes.data(), text.data(), text.size());
  valid.store(other, std::memory_order_release);
  return {};
}

Result<std::string> KeptState::text(Part part) const {
  const auto index = static_cast<std::size_t>(part);
  const std::uint32_t valid = layout_->valid_place[index].load(std::memory_order_acquire);
  if (valid > 1) return Error(EPROTO, "kept state: is damaged");
  const Layout::Place& place = layout_->sections[index].places[valid];
  if (place.size > kMaxPartBytes) return Error(EPROTO, "kept state: is damaged");
  return std::string(place.bytes.data(), place.size);
}

void StateKeeper::begin(std::shared_ptr<KeptState> memory) {
  const std::lock_guard lock(mutex_);
  memory_ = std::move(memory);
}

std::shared_ptr<KeptState> StateKeeper::memory() const {
  const std::lock_guard lock(mutex_);
  return memory_;
}

void StateKeeper::replace(KeptState::Part part, std::string_view text) {
  const Result<void> replaced = memory_->replace(part, text);
  if (!replaced.ok()) log::error(replaced.error().message());
}

}  // namespace sysbox::fs

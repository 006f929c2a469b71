#include "seccomp-notify/mount_numbers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sysbox::seccomp {
namespace {

constexpr long kSysStatmount = 457;
constexpr long kSysListmount = 458;
constexpr unsigned kStatxMountIdUnique = 0x4000;

struct KernelRequest {
  std::uint32_t size;
  std::uint32_t spare;
  MountRequest request;
};
static_assert(sizeof(KernelRequest) == 32);

KernelRequest for_kernel(const MountRequest& request) {
  // MNT_ID_REQ_SIZE_VER0, or with a mount namespace _VER1.
  return {request.mount_namespace == 0 ? 24U : 32U, 0, request};
}

}  // namespace

std::optional<std::uint64_t> unique_mount_id(int fd) {
  struct statx stx {};
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, kStatxMountIdUnique, &stx) != 0 ||
      (stx.stx_mask & kStatxMountIdUnique) == 0) {
    return std::nullopt;
  }
  return stx.stx_mnt_id;
}

Result<void> statmount(const MountRequest& request, void* answer, std::size_t size) {
  const KernelRequest asked = for_kernel(request);
  if (::syscall(kSysStatmount, &asked, answer, size, 0) != 0) return last_error("statmount");
  return {};
}

Result<StatmountAnswer> stat_superblock(std::uint64_t mount) {
  StatmountAnswer answer{};
  TRY(statmount({.mount = mount, .parameters = kStatmountSuperblock}, answer));
  return answer;
}

Result<std::vector<std::uint64_t>> listmount(std::uint64_t mount, std::uint64_t mount_namespace) {
  std::vector<std::uint64_t> found;
  std::array<std::uint64_t, 256> some{};
  for (;;) {
    // Goes on behind the last one.
    const KernelRequest asked =
        for_kernel({mount, found.empty() ? 0 : found.back(), mount_namespace});
    const long count = ::syscall(kSysListmount, &asked, some.data(), some.size(), 0);
    if (count < 0) return last_error("listmount");
    found.insert(found.end(), some.begin(), some.begin() + count);
    if (count < static_cast<long>(some.size())) return found;
  }
}

Result<bool> has_any_mount(std::uint64_t mount) {
  std::uint64_t first = 0;
  const KernelRequest asked = for_kernel({.mount = mount});
  const long count = ::syscall(kSysListmount, &asked, &first, 1, 0);
  if (count < 0) return last_error("listmount");
  return count > 0;
}

}  // namespace sysbox::seccomp

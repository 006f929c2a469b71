#include "seccomp-notify/namespace_mounts.h"

#include <linux/mount.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace sysbox::seccomp {
namespace {

// Newer than Debian 12's headers.
constexpr long kSysStatmount = 457;
constexpr long kSysListmount = 458;
constexpr unsigned long kNsGetMntnsId = _IOR(0xb7, 0x5, std::uint64_t);
constexpr std::uint64_t kRootOfNamespace = ~std::uint64_t{0};  // LSMT_ROOT
// STATMOUNT_SB_BASIC, _MNT_BASIC, _MNT_ROOT, _MNT_POINT, _FS_TYPE
constexpr std::uint64_t kWanted = 0x1 | 0x2 | 0x8 | 0x10 | 0x20;

struct Request {  // struct mnt_id_req
  std::uint32_t size = sizeof(Request);
  std::uint32_t spare = 0;
  std::uint64_t mount_id = 0;
  std::uint64_t parameters = 0;
  std::uint64_t mount_namespace = 0;
};
struct Answer {  // struct statmount
  std::uint32_t size;
  std::uint32_t options;
  std::uint64_t mask;
  std::uint32_t device_major;
  std::uint32_t device_minor;
  std::uint64_t magic;
  std::uint32_t superblock_flags;
  std::uint32_t filesystem;  // where in `texts`
  std::array<std::uint64_t, 2> unique_ids;
  std::uint32_t mount_id;
  std::uint32_t parent_id;
  std::uint64_t attributes;
  std::array<std::uint64_t, 4> propagation;
  std::uint32_t root;    // where in `texts`
  std::uint32_t target;  // where in `texts`
  std::array<std::uint64_t, 50> spare;
  std::array<char, 12288> texts;  // two paths of the kernel's longest, and a name
};
static_assert(offsetof(Answer, texts) == 512);

std::string text_at(const Answer& answer, std::uint32_t offset) {
  if (offset >= answer.texts.size()) return "";
  const char* const start = answer.texts.data() + offset;
  return std::string(start, ::strnlen(start, answer.texts.size() - offset));
}

Result<MountInfo> describe(std::uint64_t mount_namespace, std::uint64_t mount_id) {
  const Request request{sizeof(Request), 0, mount_id, kWanted, mount_namespace};
  Answer answer{};
  if (::syscall(kSysStatmount, &request, &answer, sizeof answer, 0) != 0) {
    return last_error("statmount");
  }
  MountInfo mount;
  mount.mount_id = static_cast<int>(answer.mount_id);
  mount.parent_id = static_cast<int>(answer.parent_id);
  mount.device = join(answer.device_major, ":", answer.device_minor);
  mount.root = text_at(answer, answer.root);
  mount.target = text_at(answer, answer.target);
  mount.options = (answer.attributes & MOUNT_ATTR_RDONLY) != 0 ? "ro" : "rw";
  mount.filesystem = text_at(answer, answer.filesystem);
  return mount;
}

}  // namespace

Result<std::vector<MountInfo>> list_mounts_of_namespace(int mount_namespace_fd) {
  std::uint64_t mount_namespace = 0;
  if (::ioctl(mount_namespace_fd, kNsGetMntnsId, &mount_namespace) != 0) {
    return last_error("number of a mount namespace");
  }
  std::vector<MountInfo> mounts;
  std::array<std::uint64_t, 512> some{};
  Request request{sizeof(Request), 0, kRootOfNamespace, 0, mount_namespace};
  for (;;) {
    const long count = ::syscall(kSysListmount, &request, some.data(), some.size(), 0);
    if (count < 0) return last_error("listmount");
    for (long i = 0; i < count; ++i) {
      Result<MountInfo> mount = describe(mount_namespace, some[static_cast<std::size_t>(i)]);
      if (mount.ok())
        mounts.push_back(std::move(mount).value());
      else if (mount.error().code() != ENOENT)
        return mount.error();  // else it has gone meanwhile
    }
    if (count < static_cast<long>(some.size())) return mounts;
    request.parameters = some.back();  // go on behind it
  }
}

}  // namespace sysbox::seccomp

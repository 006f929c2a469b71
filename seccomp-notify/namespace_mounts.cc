#include "seccomp-notify/namespace_mounts.h"

#include <linux/mount.h>
#include <sys/ioctl.h>

#include <array>
#include <cstdint>
#include <cstring>

#include "seccomp-notify/mount_numbers.h"

namespace sysbox::seccomp {
namespace {

// Newer than Debian 12's headers.
constexpr unsigned long kNsGetMntnsId = _IOR(0xb7, 0x5, std::uint64_t);
constexpr std::uint64_t kRootOfNamespace = ~std::uint64_t{0};  // LSMT_ROOT

struct Answer {
  StatmountAnswer numbers;
  std::array<char, 12288> texts;  // two paths of the kernel's longest, and a name
};

std::string text_at(const Answer& answer, std::uint32_t offset) {
  if (offset >= answer.texts.size()) return "";
  const char* const start = answer.texts.data() + offset;
  return std::string(start, ::strnlen(start, answer.texts.size() - offset));
}

Result<MountInfo> describe(std::uint64_t mount_namespace, std::uint64_t number) {
  constexpr std::uint64_t kWanted = kStatmountSuperblock | kStatmountMount | kStatmountRoot |
                                    kStatmountTarget | kStatmountFilesystem;
  Answer answer{};
  TRY(statmount({number, kWanted, mount_namespace}, answer));
  const StatmountAnswer& numbers = answer.numbers;
  MountInfo mount;
  mount.mount_id = static_cast<int>(numbers.mount_id);
  mount.parent_id = static_cast<int>(numbers.parent_id);
  mount.device = join(numbers.device_major, ":", numbers.device_minor);
  mount.root = text_at(answer, numbers.root);
  mount.target = text_at(answer, numbers.target);
  mount.options = (numbers.attributes & MOUNT_ATTR_RDONLY) != 0 ? "ro" : "rw";
  mount.filesystem = text_at(answer, numbers.filesystem);
  return mount;
}

}  // namespace

Result<std::vector<MountInfo>> list_mounts_of_namespace(int mount_namespace_fd) {
  std::uint64_t mount_namespace = 0;
  if (::ioctl(mount_namespace_fd, kNsGetMntnsId, &mount_namespace) != 0) {
    return last_error("number of a mount namespace");
  }
  std::vector<MountInfo> mounts;
  for (const std::uint64_t number : TRY(listmount(kRootOfNamespace, mount_namespace))) {
    Result<MountInfo> mount = describe(mount_namespace, number);
    if (!mount.ok() && mount.error().code() == ENOENT) continue;  // it has gone meanwhile
    mounts.push_back(TRY(std::move(mount)));
  }
  return mounts;
}

}  // namespace sysbox::seccomp

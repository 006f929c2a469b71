#pragma once

// Mounts by numbers that are never another's: statmount(2) and listmount(2), Linux 6.8; newer than
// Debian 12's headers. Before, all of these fail with ENOSYS.

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/result.h"

namespace sysbox::seccomp {

// The number of a place's mount; nothing before Linux 6.8.
std::optional<std::uint64_t> unique_mount_id(int fd);

struct MountRequest {  // struct mnt_id_req
  std::uint64_t mount = 0;
  std::uint64_t parameters = 0;
  std::uint64_t mount_namespace = 0;  // 0: the caller's own; others from Linux 6.11 on
};

struct StatmountAnswer {  // struct statmount, without the texts behind it
  std::uint32_t size;
  std::uint32_t options;
  std::uint64_t mask;
  std::uint32_t device_major;
  std::uint32_t device_minor;
  std::uint64_t magic;
  std::uint32_t superblock_flags;
  std::uint32_t filesystem;  // where in the texts
  std::array<std::uint64_t, 2> unique_ids;
  std::uint32_t mount_id;
  std::uint32_t parent_id;
  std::uint64_t attributes;
  std::array<std::uint64_t, 4> propagation;
  std::uint32_t root;    // where in the texts
  std::uint32_t target;  // where in the texts
  std::array<std::uint64_t, 50> spare;
};
static_assert(sizeof(StatmountAnswer) == 512);

// What to ask statmount() for (STATMOUNT_*).
inline constexpr std::uint64_t kStatmountSuperblock = 0x1;
inline constexpr std::uint64_t kStatmountMount = 0x2;
inline constexpr std::uint64_t kStatmountRoot = 0x8;
inline constexpr std::uint64_t kStatmountTarget = 0x10;
inline constexpr std::uint64_t kStatmountFilesystem = 0x20;

// Answer: a StatmountAnswer, or one that begins with it and has a place for texts.
Result<void> statmount(const MountRequest& request, void* answer, std::size_t size);
template <typename Answer>
Result<void> statmount(const MountRequest& request, Answer& answer) {
  return statmount(request, &answer, sizeof answer);
}

// Device and magic number alone.
Result<StatmountAnswer> stat_superblock(std::uint64_t mount);

// All mounts on this one, directly or not, in the order in which they were made.
Result<std::vector<std::uint64_t>> listmount(std::uint64_t mount,
                                             std::uint64_t mount_namespace = 0);
Result<bool> has_any_mount(std::uint64_t mount);

}  // namespace sysbox::seccomp

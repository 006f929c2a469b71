#include "seccomp-notify/handlers/effects.h"

#include "common/syscalls.h"

namespace sysbox::seccomp {
namespace {

Result<std::uint64_t> mount_number(int fd) {
  return static_cast<std::uint64_t>(TRY(describe_place(fd)).mount_id);
}

}  // namespace

Result<void> attach_once(const Tracee& tracee, int tree_fd, int place_fd) {
  if (tracee.evidence() != 0 && tracee.evidence() == TRY(mount_number(place_fd))) return {};
  tracee.write_down(TRY(mount_number(tree_fd)));
  return sys::move_mount(tree_fd, "", place_fd, "");
}

Result<bool> was_covered(const Tracee& tracee, const Visit& visit, const std::string& path) {
  const UniqueFd place = TRY(visit.resolve(path, Follow::kLastSymlink));
  const std::uint64_t number = TRY(mount_number(place.get()));
  if (tracee.evidence() != 0) return tracee.evidence() != number;
  tracee.write_down(number);
  return false;
}

Result<bool> was_unmounted(const Tracee& tracee, const Visit& visit, const std::string& path,
                           Follow follow) {
  if (tracee.evidence() == 0) return false;
  const UniqueFd place = TRY(visit.resolve(path, follow));
  return TRY(mount_number(place.get())) != tracee.evidence();
}

Result<void> unmount_once(const Tracee& tracee, const Visit& visit, int mount_fd, int flags) {
  tracee.write_down(TRY(mount_number(mount_fd)));
  return visit.unmount(mount_fd, flags);
}

}  // namespace sysbox::seccomp

#include "common/state_file.h"

#include <unistd.h>

#include "common/syscalls.h"

namespace sysbox {
namespace {

Result<void> write_new_file(int dirfd, const std::string& name, std::string_view text,
                            Durability durability) {
  const UniqueFd file =
      TRY(sys::openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  TRY(sys::write_all(file.get(), text).in(name));
  if (durability == Durability::kPowerLoss) TRY(sys::fsync(file.get()).in(name));
  return {};
}

}  // namespace

Result<void> replace_file(int dirfd, const std::string& name, std::string_view text,
                          Durability durability) {
  const std::string temporary = join(".", name, ".", ::gettid());
  Result<void> done = write_new_file(dirfd, temporary, text, durability);
  if (done.ok()) done = sys::renameat(dirfd, temporary, dirfd, name);
  if (!done.ok()) {
    ::unlinkat(dirfd, temporary.c_str(), 0);
    return done;
  }
  if (durability == Durability::kPowerLoss) {
    const UniqueFd directory = TRY(sys::openat(dirfd, ".", O_RDONLY | O_DIRECTORY));
    TRY(sys::fsync(directory.get()));
  }
  return {};
}

}  // namespace sysbox

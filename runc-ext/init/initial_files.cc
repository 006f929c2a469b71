#include "runc-ext/init/initial_files.h"

#include <linux/magic.h>

#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

Result<void> write_file(const RootDir& root, const InitialFile& file) {
  const Result<UniqueFd> place = root.open_inside(file.place, O_PATH | O_DIRECTORY);
  if (!place.ok()) return {};
  // Never into the image, or into what the user has mounted there.
  if (TRY(sys::fstatfs_type(place.value().get())) != TMPFS_MAGIC) return {};
  const std::string path = join(file.place, "/", file.path);
  TRY(root.make_directories(path.substr(0, path.rfind('/'))));
  const UniqueFd made = TRY(root.open_inside(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
  return sys::write_all(made.get(), file.text);
}

}  // namespace

Result<void> write_initial_files(const RootDir& root, const std::vector<InitialFile>& files) {
  for (const InitialFile& file : files) {
    const Result<void> written = write_file(root, file);
    if (written.ok() || written.error().code() == EEXIST || written.error().code() == EROFS)
      continue;
    return errno_error(written.error().code(), join("write '", file.place, "/", file.path, "'"));
  }
  return {};
}

}  // namespace sysbox::runc

#include "common/directory_entries.h"

#include <memory>
#include <string_view>

#include "common/syscalls.h"

namespace sysbox {

Result<UniqueFd> open_directory(int parent_fd, const std::string& name) {
  return sys::openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

Result<void> for_each_entry(int directory_fd,
                            const std::function<Result<void>(const struct dirent&)>& use) {
  // A descriptor of its own: the stream closes it, and has a position of its own.
  UniqueFd listing = TRY(sys::openat(directory_fd, ".", O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(listing.get()), ::closedir);
  if (!stream) return last_error("fdopendir");
  static_cast<void>(listing.release());
  for (;;) {
    errno = 0;
    const struct dirent* entry = ::readdir(stream.get());
    if (entry == nullptr && errno != 0) return last_error("readdir");
    if (entry == nullptr) return {};
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    TRY(use(*entry));
  }
}

Result<bool> is_empty_directory(int directory_fd) {
  bool is_empty = true;
  const Result<void> listed =
      for_each_entry(directory_fd, [&is_empty](const struct dirent&) -> Result<void> {
        is_empty = false;
        return errno_error(ECANCELED, "seen enough");
      });
  if (!listed.ok() && is_empty) return listed.error();
  return is_empty;
}

}  // namespace sysbox

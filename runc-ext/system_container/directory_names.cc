#include "runc-ext/system_container/directory_names.h"

#include <dirent.h>

#include <memory>

namespace sysbox::runc {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

}  // namespace

std::vector<std::string> directory_names(const RootDir& root, const std::string& path_inside) {
  std::vector<std::string> names;
  Result<UniqueFd> opened = root.open_inside(path_inside, O_RDONLY | O_DIRECTORY);
  if (!opened.ok()) return names;
  const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(opened.value().get()));
  if (!directory) return names;
  static_cast<void>(std::move(opened).value().release());  // closedir() closes it
  while (const struct dirent* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

}  // namespace sysbox::runc

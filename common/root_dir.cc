#include "common/root_dir.h"

#include <vector>

namespace sysbox {
namespace {

std::vector<std::string> components(const std::string& path) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  while (start < path.size()) {
    std::size_t end = path.find('/', start);
    if (end == std::string::npos) end = path.size();
    std::string part = path.substr(start, end - start);
    start = end + 1;
    if (part.empty() || part == ".") continue;
    parts.push_back(std::move(part));
  }
  return parts;
}

bool is_missing(const Error& error) { return error.code() == ENOENT; }

}  // namespace

Result<RootDir> RootDir::open(const std::string& path_on_host) {
  return RootDir(TRY(sys::open(path_on_host, O_PATH | O_DIRECTORY)));
}

Result<UniqueFd> RootDir::open_inside(const std::string& path, int flags, mode_t mode) const {
  return sys::openat2(directory_.get(), path.empty() ? "." : path,
                      static_cast<std::uint64_t>(flags), RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
                      mode);
}

Result<UniqueFd> RootDir::make_directories(const std::string& path) const {
  Result<UniqueFd> whole = open_inside(path, O_PATH | O_DIRECTORY);
  if (whole.ok() || !is_missing(whole.error())) return whole;

  // Each step starts at the root again, so that a link met on the way stays inside.
  std::string walked;
  UniqueFd parent = TRY(open_inside("/", O_PATH | O_DIRECTORY));
  for (const std::string& part : components(path)) {
    walked += "/" + part;
    Result<UniqueFd> next = open_inside(walked, O_PATH | O_DIRECTORY);
    if (!next.ok() && is_missing(next.error())) {
      if (part == "..") return std::move(next).error();
      const Result<void> made = sys::mkdirat(parent.get(), part, 0755);
      // EEXIST: another process was faster, or a link leads nowhere; the next open tells.
      if (!made.ok() && made.error().code() != EEXIST) return made.error();
      next = open_inside(walked, O_PATH | O_DIRECTORY);
    }
    parent = TRY(std::move(next));
  }
  return parent;
}

Result<UniqueFd> RootDir::make_file(const std::string& path) const {
  Result<UniqueFd> whole = open_inside(path, O_PATH);
  if (whole.ok() || !is_missing(whole.error())) return whole;
  std::vector<std::string> parts = components(path);
  if (parts.empty() || parts.back() == "..") return std::move(whole).error();
  const std::string name = parts.back();
  std::string parent_path;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) parent_path += "/" + parts[i];
  const UniqueFd parent = TRY(make_directories(parent_path));
  const Result<void> made = sys::mknodat(parent.get(), name, S_IFREG | 0644, 0);
  if (!made.ok() && made.error().code() != EEXIST) return made.error();
  return open_inside(path, O_PATH);
}

Result<bool> RootDir::exists(const std::string& path) const {
  const Result<UniqueFd> found = open_inside(path, O_PATH);
  if (found.ok()) return true;
  if (is_missing(found.error()) || found.error().code() == ENOTDIR) return false;
  return found.error();
}

Result<std::string> RootDir::read_file(const std::string& path) const {
  const UniqueFd fd = TRY(open_inside(path, O_RDONLY | O_NONBLOCK));
  return sys::read_all(fd.get()).in(path);
}

std::string fd_path(int fd) { return "/proc/thread-self/fd/" + std::to_string(fd); }

std::string clean_path(const std::string& path) {
  std::vector<std::string> kept;
  for (std::string& part : components(path)) {
    if (part == "..") {
      if (!kept.empty()) kept.pop_back();
    } else {
      kept.push_back(std::move(part));
    }
  }
  std::string clean;
  for (const std::string& part : kept) clean += "/" + part;
  return clean.empty() ? "/" : clean;
}

bool is_same_or_below(const std::string& path, const std::string& ancestor) {
  if (ancestor == "/") return path.starts_with('/');
  return path.starts_with(ancestor) &&
         (path.size() == ancestor.size() || path[ancestor.size()] == '/');
}

}  // namespace sysbox

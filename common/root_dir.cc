#include "common/root_dir.h"

#include <algorithm>
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

std::vector<std::string> reversed(std::vector<std::string> parts) {
  std::reverse(parts.begin(), parts.end());
  return parts;
}

constexpr int kMaxLinks = 40;  // as the kernel's own limit, MAXSYMLINKS

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
  return make_path(path, Last::kDirectory);
}

Result<UniqueFd> RootDir::make_file(const std::string& path) const {
  return make_path(path, Last::kFile);
}

Result<UniqueFd> RootDir::make_path(const std::string& path, Last last) const {
  Result<UniqueFd> whole = open_inside(path, last == Last::kFile ? O_PATH : O_PATH | O_DIRECTORY);
  if (whole.ok() || !is_missing(whole.error())) return whole;

  std::vector<std::string> ahead = reversed(components(path));
  if (ahead.empty() || (last == Last::kFile && ahead.front() == "..")) return whole;
  // Each step starts at the root again, so that a link met on the way stays inside, whoever
  // renames things meanwhile.
  std::string walked;
  UniqueFd parent = TRY(open_inside("/", O_PATH | O_DIRECTORY));
  int links = 0;
  while (!ahead.empty()) {
    const std::string part = std::move(ahead.back());
    ahead.pop_back();
    const bool is_file = last == Last::kFile && ahead.empty();
    const int flags = is_file ? O_PATH : O_PATH | O_DIRECTORY;
    Result<UniqueFd> next = open_inside(join(walked, "/", part), flags);
    if (!next.ok() && is_missing(next.error()) && part != "..") {
      const Result<void> made = is_file ? sys::mknodat(parent.get(), part, S_IFREG | 0644, 0)
                                        : sys::mkdirat(parent.get(), part, 0755);
      if (!made.ok() && made.error().code() != EEXIST) return made.error();
      next = open_inside(join(walked, "/", part), flags);
    }
    if (next.ok()) {
      parent = std::move(next).value();
      walked += "/" + part;
      continue;
    }
    // A link that leads nowhere: what it leads to is made. Anything else cannot be read as one.
    const Result<std::string> link = sys::readlinkat(parent.get(), part);
    if (!link.ok() || !is_missing(next.error())) return std::move(next).error();
    if (++links > kMaxLinks) return errno_error(ELOOP, "make '", path, "'");
    for (std::string& step : reversed(components(link.value()))) ahead.push_back(std::move(step));
    if (!link.value().starts_with('/')) continue;
    walked.clear();
    parent = TRY(open_inside("/", O_PATH | O_DIRECTORY));
  }
  return parent;
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

#pragma once

// RootDir: opens untrusted paths inside a directory and never outside it, whatever symbolic
// links or ".." they hold and whoever renames things meanwhile (openat2(2), RESOLVE_IN_ROOT).

#include <string>

#include "common/result.h"
#include "common/syscalls.h"
#include "common/unique_fd.h"

namespace sysbox {

class RootDir {
 public:
  // Takes over an O_PATH or directory descriptor.
  explicit RootDir(UniqueFd directory) : directory_(std::move(directory)) {}
  static Result<RootDir> open(const std::string& path_on_host);

  int fd() const { return directory_.get(); }

  // `path` is read as the directory's own "/"; magic links (/proc/PID/fd/N) give ELOOP.
  Result<UniqueFd> open_inside(const std::string& path, int flags, mode_t mode = 0) const;

  // Makes `path` and its missing parents as directories (mode 0755) and opens it with O_PATH. A
  // link that leads nowhere is followed: what it leads to is made.
  Result<UniqueFd> make_directories(const std::string& path) const;
  // The same, but the last component is an empty regular file (mode 0644) if it is missing.
  Result<UniqueFd> make_file(const std::string& path) const;

  Result<bool> exists(const std::string& path) const;
  Result<std::string> read_file(const std::string& path) const;

 private:
  enum class Last { kDirectory, kFile };
  Result<UniqueFd> make_path(const std::string& path, Last last) const;

  UniqueFd directory_;
};

// A descriptor's name in the calling thread's own /proc: for calls that only take paths.
std::string fd_path(int fd);

// The path's components, "." and empty ones dropped, ".." applied as text: "/a//./b" → "/a/b".
// For comparing paths of a configuration; never for opening them.
std::string clean_path(const std::string& path);

// True if `path` is `ancestor` or lies below it, by component ("/ab" is not below "/a").
// Both must be clean.
bool is_same_or_below(const std::string& path, const std::string& ancestor);

}  // namespace sysbox

#include "mgr/lifeline.h"

#include <fcntl.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "common/json_fields.h"
#include "common/root_dir.h"

namespace sysbox::mgr {
namespace {

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

// f_fsid alone is not enough: some file systems leave it 0.
struct FileSystem {
  std::uint64_t id = 0;
  std::int64_t type = 0;
};

Result<FileSystem> file_system_of(const std::string& path) {
  struct statfs info {};
  if (::statfs(path.c_str(), &info) != 0) return last_error("statfs '", path, "'");
  static_assert(sizeof info.f_fsid == sizeof(std::uint64_t));
  FileSystem found;
  std::memcpy(&found.id, &info.f_fsid, sizeof found.id);
  found.type = static_cast<std::int64_t>(info.f_type);
  return found;
}

bool is_absent(int code) { return code == ENOENT || code == ENOTDIR; }

}  // namespace

std::string parent_path(const std::string& path) {
  const std::string clean = clean_path(path);
  const std::size_t slash = clean.rfind('/');
  return slash == 0 ? "/" : clean.substr(0, slash);
}

std::string last_component(const std::string& path) {
  const std::string clean = clean_path(path);
  return clean.substr(clean.rfind('/') + 1);
}

Result<Lifeline> look_at_lifeline(const std::string& path) {
  struct statx info {};
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
              STATX_INO | STATX_BTIME, &info) != 0) {
    return last_error("stat '", path, "'");
  }
  Lifeline lifeline;
  lifeline.path = path;
  lifeline.device = (std::uint64_t{info.stx_dev_major} << 32U) | info.stx_dev_minor;
  lifeline.inode = info.stx_ino;
  if ((info.stx_mask & STATX_BTIME) != 0) {
    lifeline.birth_ns = info.stx_btime.tv_sec * kNanosecondsPerSecond + info.stx_btime.tv_nsec;
  }
  const FileSystem file_system = TRY(file_system_of(parent_path(path)));
  lifeline.file_system = file_system.id;
  lifeline.file_system_type = file_system.type;
  return lifeline;
}

bool is_same_lifeline(const Lifeline& then, const Lifeline& now) {
  if (then.path != now.path || then.inode != now.inode) return false;
  if (then.birth_ns != 0 && now.birth_ns != 0) return then.birth_ns == now.birth_ns;
  return then.device == now.device;
}

LifelineState state_of(const Lifeline& lifeline) {
  struct stat unused {};
  if (::lstat(lifeline.path.c_str(), &unused) == 0) return LifelineState::kPresent;
  if (!is_absent(errno)) return LifelineState::kUnknown;
  // The nearest ancestor that exists must be of the file system that the lifeline was on.
  for (std::string ancestor = parent_path(lifeline.path);; ancestor = parent_path(ancestor)) {
    const Result<FileSystem> file_system = file_system_of(ancestor);
    if (file_system.ok()) {
      const bool is_same = file_system.value().id == lifeline.file_system &&
                           file_system.value().type == lifeline.file_system_type;
      return is_same ? LifelineState::kGone : LifelineState::kUnknown;
    }
    if (!is_absent(file_system.error().code()) || ancestor == "/") return LifelineState::kUnknown;
  }
}

nlohmann::json to_json(const Lifeline& lifeline) {
  return {{"path", lifeline.path},
          {"device", lifeline.device},
          {"inode", lifeline.inode},
          {"birth_ns", lifeline.birth_ns},
          {"file_system", lifeline.file_system},
          {"file_system_type", lifeline.file_system_type}};
}

Result<Lifeline> parse_lifeline(const nlohmann::json& json, const std::string& path) {
  Lifeline lifeline;
  JsonFields fields(json, path);
  fields.required("path", lifeline.path);
  fields.required("device", lifeline.device);
  fields.required("inode", lifeline.inode);
  fields.optional("birth_ns", lifeline.birth_ns);
  fields.required("file_system", lifeline.file_system);
  fields.required("file_system_type", lifeline.file_system_type);
  TRY(std::move(fields).finish());
  return lifeline;
}

}  // namespace sysbox::mgr

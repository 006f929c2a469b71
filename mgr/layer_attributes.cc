#include "mgr/layer_attributes.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/directory_entries.h"
#include "common/root_dir.h"

namespace sysbox::mgr {
namespace {

constexpr std::string_view kFirstLine = "sysbox-layer-attributes 1";
constexpr std::string_view kWhiteout = "whiteout";
constexpr std::string_view kAttribute = "attribute";
// A container decides how much there is to say.
constexpr std::size_t kMaxBytes = 64U << 20U;
constexpr std::size_t kBufferBytes = 1U << 16U;

// The file while it is written.
constexpr const char* kUnfinishedName = ".sysbox-layer-attributes.unfinished";

// What overlayfs notes about files of one disk; it is wrong for copies, and made again.
constexpr std::array<std::string_view, 5> kOfThisDiskOnly = {
    "user.overlay.impure", "user.overlay.nlink", "user.overlay.origin",
    "user.overlay.upper",  "user.overlay.uuid",
};

bool is_carried(std::string_view name) {
  if (name == "system.posix_acl_access" || name == "system.posix_acl_default") return true;
  return name.starts_with("user.") &&
         std::find(kOfThisDiskOnly.begin(), kOfThisDiskOnly.end(), name) == kOfThisDiskOnly.end();
}

// Bytes that would end a field or a line, and all that are not ASCII, as %XX.
std::string escaped(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > ' ' && byte < 0x7f && c != '%') {
      text += c;
    } else {
      text += {'%', kDigits[byte >> 4U], kDigits[byte & 0xfU]};
    }
  }
  return text;
}

std::optional<std::string> unescaped(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      bytes += text[i];
      continue;
    }
    unsigned value = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    const char* end = text.data() + i + 3;
    if (std::from_chars(text.data() + i + 1, end, value, 16).ptr != end) return std::nullopt;
    bytes += static_cast<char>(value);
    i += 2;
  }
  return bytes;
}

class Writer {
 public:
  Writer(int directory_fd, Deadline deadline, const std::atomic<bool>& cancelled)
      : top_(directory_fd), deadline_(deadline), cancelled_(cancelled) {}

  // ENODATA if there is nothing to say.
  Result<void> write(int file_fd) {
    file_ = file_fd;
    text_ = join(kFirstLine, "\n");
    TRY(note_attributes(top_, ".", "."));
    directories_.emplace_back(".");
    while (!directories_.empty()) {
      const std::string path = std::move(directories_.back());
      directories_.pop_back();
      TRY(note_entries(path).in(path));
    }
    if (!said_anything_) return errno_error(ENODATA, "attributes");
    return flush();
  }

 private:
  Result<void> note_entries(const std::string& path) {
    if (cancelled_) return errno_error(ECANCELED, "list attributes");
    if (std::chrono::steady_clock::now() > deadline_) {
      return Error(ETIMEDOUT, "listing its files takes too long");
    }
    Result<UniqueFd> opened = sys::openat2(top_, path, O_RDONLY | O_DIRECTORY, kInsideOnly);
    if (!opened.ok() && opened.error().code() == EXDEV) return {};
    const UniqueFd directory = TRY(std::move(opened));
    return for_each_entry(directory.get(), [&](const struct dirent& entry) -> Result<void> {
      const std::string name = entry.d_name;
      std::string inner = path == "." ? name : join(path, "/", name);
      if (entry.d_type == DT_CHR && TRY(is_whiteout(directory.get(), name))) {
        return say(join(kWhiteout, " ", escaped(inner), "\n"));
      }
      if (entry.d_type == DT_REG || entry.d_type == DT_DIR) {
        TRY(note_attributes(directory.get(), name, inner));
      }
      if (entry.d_type == DT_DIR) directories_.push_back(std::move(inner));
      return {};
    });
  }

  static Result<bool> is_whiteout(int directory_fd, const std::string& name) {
    const struct stat info = TRY(sys::fstatat(directory_fd, name, AT_SYMLINK_NOFOLLOW));
    return S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0);
  }

  Result<void> note_attributes(int directory_fd, const std::string& name, const std::string& path) {
    const std::string file = join(fd_path(directory_fd), "/", name);
    const ssize_t size = ::llistxattr(file.c_str(), names_.data(), names_.size());
    if (size == 0 || (size < 0 && errno == EOPNOTSUPP)) return {};
    if (size < 0) return last_error("list attributes of '", name, "'");
    for (const char* at = names_.data(); at < names_.data() + size;
         at += std::char_traits<char>::length(at) + 1) {
      if (is_carried(at)) TRY(note_attribute(file, at, path));
    }
    return {};
  }

  Result<void> note_attribute(const std::string& file, const char* attribute,
                              const std::string& path) {
    const ssize_t size = ::lgetxattr(file.c_str(), attribute, value_.data(), value_.size());
    if (size < 0 && errno == ENODATA) return {};
    if (size < 0) return last_error("read attribute ", attribute);
    const std::string_view value(value_.data(), static_cast<std::size_t>(size));
    return say(
        join(kAttribute, " ", escaped(path), " ", escaped(attribute), " ", escaped(value), "\n"));
  }

  Result<void> say(const std::string& line) {
    said_anything_ = true;
    said_bytes_ += line.size();
    if (said_bytes_ > kMaxBytes) return errno_error(EFBIG, "its attributes");
    text_ += line;
    return text_.size() < kBufferBytes ? Result<void>() : flush();
  }

  Result<void> flush() {
    Result<void> written = sys::write_all(file_, text_);
    text_.clear();
    return written;
  }

  int top_;
  Deadline deadline_;
  const std::atomic<bool>& cancelled_;
  int file_ = -1;
  std::string text_;
  bool said_anything_ = false;
  std::size_t said_bytes_ = 0;
  std::vector<std::string> directories_;  // paths below the top, still to be looked at
  std::vector<char> names_ = std::vector<char>(XATTR_LIST_MAX);
  std::vector<char> value_ = std::vector<char>(XATTR_SIZE_MAX);
};

// Where a line's path leads: the directory that holds it, and its name there.
struct Named {
  UniqueFd directory;
  std::string name;
};

// Nothing: there is no such place below the top.
std::optional<Named> find_named(int top_fd, const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos || path.ends_with('/')) {
    return std::nullopt;
  }
  const std::size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash);
  const std::string name = path.substr(slash + 1);  // npos + 1 is 0
  if (name == ".." || (name == "." && slash != std::string::npos)) return std::nullopt;
  Result<UniqueFd> directory = sys::openat2(top_fd, parent, O_RDONLY | O_DIRECTORY, kInsideOnly);
  if (!directory.ok()) return std::nullopt;
  return Named{std::move(directory).value(), name};
}

bool is_passed_over(int code) {
  return code == ENOENT || code == ENOTDIR || code == EEXIST || code == EOPNOTSUPP ||
         code == EPERM || code == EINVAL || code == ENAMETOOLONG;
}

Result<void> apply_line(int top_fd, std::string_view line) {
  std::vector<std::string> fields;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::optional<std::string> field = unescaped(line.substr(0, end));
    if (!field) return {};
    fields.push_back(*field);
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  // An empty value leaves nothing behind its space.
  if (fields.size() == 3 && fields[0] == kAttribute) fields.emplace_back();
  const bool is_whiteout = fields.size() == 2 && fields[0] == kWhiteout;
  const bool is_attribute = fields.size() == 4 && fields[0] == kAttribute && is_carried(fields[2]);
  if (!is_whiteout && !is_attribute) return {};
  const std::optional<Named> place = find_named(top_fd, fields[1]);
  if (!place) return {};
  if (is_whiteout) return sys::mknodat(place->directory.get(), place->name, S_IFCHR, 0);
  const std::string file = join(fd_path(place->directory.get()), "/", place->name);
  if (::lsetxattr(file.c_str(), fields[2].c_str(), fields[3].data(), fields[3].size(), 0) != 0) {
    return last_error("set attribute ", fields[2], " of '", fields[1], "'");
  }
  return {};
}

}  // namespace

Result<void> write_layer_attributes(int directory_fd, Deadline deadline,
                                    const std::atomic<bool>& cancelled) {
  TRY(remove_layer_attributes(directory_fd));
  const UniqueFd file = TRY(sys::openat(
      directory_fd, kUnfinishedName, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  Result<void> written = Writer(directory_fd, deadline, cancelled).write(file.get());
  if (written.ok()) {
    written = sys::renameat(directory_fd, kUnfinishedName, directory_fd, kLayerAttributesName);
  }
  if (written.ok()) return {};
  static_cast<void>(sys::unlinkat(directory_fd, kUnfinishedName).ok());
  if (written.error().code() == ENODATA) return {};
  return written;
}

Result<void> apply_layer_attributes(int directory_fd) {
  const Result<UniqueFd> file =
      sys::openat(directory_fd, kLayerAttributesName, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file.ok()) {
    const int code = file.error().code();
    return code == ENOENT || code == ELOOP || code == ENXIO ? Result<void>() : file.error();
  }
  const std::string text = TRY(sys::read_all(file.value().get(), 2 * kMaxBytes));
  std::string_view rest = text;
  const auto next_line = [&rest] {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return line;
  };
  if (next_line() != kFirstLine) return {};  // not one of ours
  while (!rest.empty()) {
    Result<void> applied = apply_line(directory_fd, next_line());
    if (!applied.ok() && !is_passed_over(applied.error().code())) return applied;
  }
  return remove_layer_attributes(directory_fd);
}

Result<void> remove_layer_attributes(int directory_fd) {
  for (const char* name : {kLayerAttributesName, kUnfinishedName}) {
    Result<void> removed = sys::unlinkat(directory_fd, name);
    if (!removed.ok() && removed.error().code() != ENOENT) return removed;
  }
  return {};
}

}  // namespace sysbox::mgr

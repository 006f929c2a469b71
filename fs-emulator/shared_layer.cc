#include "fs-emulator/shared_layer.h"

#include <stdio.h>  // NOLINT(modernize-deprecated-headers): renameat2
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "common/directory_entries.h"
#include "common/log.h"
#include "common/root_dir.h"
#include "common/volume_mark.h"

namespace sysbox::fs {
namespace {

// Beside the upper layer, so that whatever removes the container removes it too. Below it numbered
// directories, and below these what was set aside, at the path that it had.
constexpr const char* kAsideName = "sysbox-set-aside";
constexpr unsigned kMaxAside = 4096;
constexpr std::size_t kMaxDirectories = 100'000;
constexpr std::size_t kMaxDepth = 256;  // of what is merged by recursion
constexpr mode_t kModeBits = 07777;

bool is_absent(int code) { return code == ENOENT || code == ENOTDIR || code == ELOOP; }

// The container decides what is in its layer.
Result<UniqueFd> open_directory(int top_fd, const std::string& path) {
  return sys::openat2(top_fd, path, O_RDONLY | O_DIRECTORY, kInsideOnly);
}

struct Place {
  UniqueFd parent;
  std::string name;
};

Result<Place> place_of(int top_fd, const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return Place{TRY(open_directory(top_fd, ".")), path};
  return Place{TRY(open_directory(top_fd, path.substr(0, slash))), path.substr(slash + 1)};
}

Result<void> make_directory(int parent_fd, const std::string& name) {
  Result<void> made = sys::mkdirat(parent_fd, name, 0700);
  if (!made.ok() && made.error().code() == EEXIST) return {};
  return made;
}

Result<void> rename_to_free_name(const Place& from, const Place& to) {
  if (::renameat2(from.parent.get(), from.name.c_str(), to.parent.get(), to.name.c_str(),
                  RENAME_NOREPLACE) != 0) {
    return last_error("move '", from.name, "'");
  }
  return {};
}

// A volume that sysbox-mgr has moved there for an image, behind everybody's back.
bool is_volume(int directory_fd) { return ::fgetxattr(directory_fd, kVolumeMark, nullptr, 0) >= 0; }

bool is_same_time(const struct timespec& a, const struct timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

// Has the overlay copy the directory up, if it has not: a change that changes nothing.
Result<void> copy_up(int directory_fd) {
  const struct stat info = TRY(sys::fstat(directory_fd));
  if (::chmod(fd_path(directory_fd).c_str(), info.st_mode & kModeBits) != 0) {
    return last_error("copy up");
  }
  return {};
}

// In `to` nothing is replaced that the container made meanwhile.
Result<void> move_contents(int from_fd, int to_fd, std::size_t depth = 0) {
  if (depth > kMaxDepth) return Error(ELOOP, "too many directories in one another");
  return for_each_entry(from_fd, [&](const struct dirent& entry) -> Result<void> {
    const std::string name = entry.d_name;
    if (::renameat2(from_fd, name.c_str(), to_fd, name.c_str(), RENAME_NOREPLACE) == 0) return {};
    if (errno != EEXIST) return last_error("move '", name, "'");
    const Result<UniqueFd> from = open_directory(from_fd, name);
    const Result<UniqueFd> to = open_directory(to_fd, name);
    if (!from.ok()) return sys::unlinkat(from_fd, name);
    if (!to.ok()) return {};
    return move_contents(from.value().get(), to.value().get(), depth + 1);
  });
}

class Joining {
 public:
  Joining(const SharedLayer& shared, Deadline deadline) : shared_(shared), deadline_(deadline) {}

  Result<unsigned> run() {
    // Only the topmost directory is upper in both from the start.
    TRY(note_directories("."));
    std::size_t seen = 0;  // directories
    while (!waiting_.empty()) {
      if (std::chrono::steady_clock::now() > deadline_ || ++seen > kMaxDirectories) {
        return Error(ETIMEDOUT, "looking through the upper layer takes too long");
      }
      const std::string path = std::move(waiting_.back());
      waiting_.pop_back();
      TRY(visit(path).in(path));
    }
    return joined_;
  }

 private:
  Result<void> visit(const std::string& path) {
    const Result<UniqueFd> upper = open_directory(shared_.upper.get(), path);
    const Result<UniqueFd> own = open_directory(shared_.own.get(), path);
    // Removed meanwhile, or one that the container does not see at all.
    if (!upper.ok()) return is_absent(upper.error().code()) ? Result<void>() : upper.error();
    if (!own.ok()) return is_absent(own.error().code()) ? Result<void>() : own.error();
    if (is_volume(upper.value().get())) return {};
    // The time that nobody can set: an image's directory has another than its copy. While the
    // container changes something in it, it is the wrong one for a moment.
    const struct stat in_layer = TRY(sys::fstat(upper.value().get()));
    const struct stat inside = TRY(sys::fstat(own.value().get()));
    const struct stat in_layer_again = TRY(sys::fstat(upper.value().get()));
    if (!is_same_time(in_layer.st_ctim, inside.st_ctim) &&
        is_same_time(in_layer.st_ctim, in_layer_again.st_ctim)) {
      TRY(join_one(path, own.value().get(), in_layer));
    }
    return note_directories(path);
  }

  Result<void> note_directories(const std::string& path) {
    const Result<UniqueFd> directory = open_directory(shared_.upper.get(), path);
    if (!directory.ok()) {
      return is_absent(directory.error().code()) ? Result<void>() : directory.error();
    }
    return for_each_entry(directory.value().get(), [&](const struct dirent& entry) -> Result<void> {
      if (entry.d_type != DT_DIR) return {};
      waiting_.push_back(path == "." ? entry.d_name : sysbox::join(path, "/", entry.d_name));
      return {};
    });
  }

  // `own_fd`: what the container sees there, which is not the upper layer's directory. That is set
  // aside first: an empty one would be replaced, and the engine fail that is about to fill it.
  Result<void> join_one(const std::string& path, int own_fd, const struct stat& in_layer) {
    const Place place = TRY(place_of(shared_.upper.get(), path));
    const Place aside = TRY(make_place_aside(path));
    TRY(rename_to_free_name(place, aside));
    Result<void> copied = copy_up(own_fd);
    const Result<UniqueFd> fresh =
        sys::openat2(place.parent.get(), place.name, O_RDONLY | O_DIRECTORY, kInsideOnly);
    // The container has come to know it in the meantime after all.
    if (!fresh.ok()) {
      TRY(rename_to_free_name(aside, place));
      return copied;
    }
    const UniqueFd old = TRY(open_directory(aside.parent.get(), aside.name));
    TRY(move_contents(old.get(), fresh.value().get()));
    const struct stat copy = TRY(sys::fstat(fresh.value().get()));
    TRY(take_attributes(own_fd, copy, in_layer));
    ++joined_;
    return {};
  }

  Result<Place> make_place_aside(const std::string& path) const {
    TRY(make_directory(shared_.layer.get(), kAsideName));
    UniqueFd place = TRY(open_directory(shared_.layer.get(), kAsideName));
    unsigned number = 0;
    for (;; ++number) {
      Result<void> made = sys::mkdirat(place.get(), std::to_string(number), 0700);
      if (made.ok()) break;
      if (made.error().code() != EEXIST || number == kMaxAside) return made.error();
    }
    place = TRY(open_directory(place.get(), std::to_string(number)));
    std::size_t start = 0;
    for (std::size_t slash = path.find('/'); slash != std::string::npos;
         slash = path.find('/', start)) {
      const std::string name = path.substr(start, slash - start);
      TRY(make_directory(place.get(), name));
      place = TRY(open_directory(place.get(), name));
      start = slash + 1;
    }
    return Place{std::move(place), path.substr(start)};
  }

  // What the engine may have set: through the container's overlay, which has them in memory.
  Result<void> take_attributes(int own_fd, const struct stat& have, const struct stat& want) const {
    const std::string own = fd_path(own_fd);
    if (have.st_uid != want.st_uid || have.st_gid != want.st_gid) {
      const auto uid = shared_.uid_map.to_host(want.st_uid);
      const auto gid = shared_.gid_map.to_host(want.st_gid);
      if (uid && gid && ::chown(own.c_str(), *uid, *gid) != 0) return last_error("owner");
    }
    if (((have.st_mode ^ want.st_mode) & kModeBits) != 0 &&
        ::chmod(own.c_str(), want.st_mode & kModeBits) != 0) {
      return last_error("mode");
    }
    const std::array<struct timespec, 2> times{want.st_atim, want.st_mtim};
    if (::utimensat(AT_FDCWD, own.c_str(), times.data(), 0) != 0) return last_error("times");
    return {};
  }

  const SharedLayer& shared_;
  const Deadline deadline_;
  std::vector<std::string> waiting_;
  unsigned joined_ = 0;
};

// `aside_fd`: one numbered directory. What it holds came from where it says.
Result<void> give_back_one(int aside_fd, int upper_fd, SetAside then, std::size_t depth) {
  if (depth > kMaxDepth) return Error(ELOOP, "too many directories in one another");
  return for_each_entry(aside_fd, [&](const struct dirent& entry) -> Result<void> {
    const std::string name = entry.d_name;
    const Result<UniqueFd> aside = open_directory(aside_fd, name);
    const Result<UniqueFd> upper = open_directory(upper_fd, name);
    if (!upper.ok() || !aside.ok()) {
      // Nothing there: it was not copied up yet when a crash came. A file or a whiteout: the
      // container has removed the directory, and that is newer.
      if (::renameat2(aside_fd, name.c_str(), upper_fd, name.c_str(), RENAME_NOREPLACE) == 0) {
        return {};
      }
      if (errno != EEXIST) return last_error("move '", name, "' back");
      return aside.ok() || then == SetAside::kKept ? Result<void>() : sys::unlinkat(aside_fd, name);
    }
    TRY(give_back_one(aside.value().get(), upper.value().get(), then, depth + 1));
    if (then == SetAside::kKept) return {};
    const Result<void> removed = sys::unlinkat(aside_fd, name, AT_REMOVEDIR);
    if (!removed.ok() && removed.error().code() != ENOTEMPTY) return removed;
    return {};
  });
}

}  // namespace

// What it was mounted with stays; that the cache is dropped is a part of any reconfiguration.
Result<void> forget_names(int mount_fd) {
  const UniqueFd context = TRY(sys::fspick(mount_fd, "").in("an overlay"));
  return sys::fsconfig_reconfigure(context.get()).in("an overlay");
}

Result<unsigned> join_directories(const SharedLayer& shared, Deadline deadline) {
  return Joining(shared, deadline).run();
}

Result<void> give_back(const SharedLayer& shared, SetAside then) {
  const Result<UniqueFd> aside = open_directory(shared.layer.get(), kAsideName);
  if (!aside.ok()) return is_absent(aside.error().code()) ? Result<void>() : aside.error();
  const int aside_fd = aside.value().get();
  const auto give_back_numbered = [&](const struct dirent& entry) -> Result<void> {
    const UniqueFd one = TRY(open_directory(aside_fd, entry.d_name));
    TRY(give_back_one(one.get(), shared.upper.get(), then, 0));
    if (then == SetAside::kKept) return {};
    return sys::unlinkat(aside_fd, entry.d_name, AT_REMOVEDIR);
  };
  TRY(for_each_entry(aside_fd, give_back_numbered));
  if (then == SetAside::kKept) return {};
  return sys::unlinkat(shared.layer.get(), kAsideName, AT_REMOVEDIR);
}

}  // namespace sysbox::fs

#include "runc-ext/uid_shift/owner_shift.h"

#include <sys/file.h>
#include <sys/xattr.h>

#include <array>
#include <optional>
#include <vector>

#include "common/directory_entries.h"
#include "common/id_range_json.h"
#include "common/json_fields.h"
#include "common/root_dir.h"
#include "common/state_file.h"
#include "common/syscalls.h"
#include "runc-ext/uid_shift/owner_map.h"

namespace sysbox::runc {
namespace {

constexpr int kFormat = 1;

// Where the record of a rootfs is.
struct RecordPlace {
  UniqueFd directory;
  std::string name;
};

Result<RecordPlace> record_place(const std::string& rootfs) {
  const std::string clean = clean_path(rootfs);
  const std::size_t slash = clean.rfind('/');
  if (clean == "/") return Error(EINVAL, "rootfs: the owners of '/' are not changed");
  return RecordPlace{
      TRY(sys::open(slash == 0 ? "/" : clean.substr(0, slash), O_PATH | O_DIRECTORY)),
      join(".", clean.substr(slash + 1), ".sysbox-owners")};
}

// One walk at a time: that of a create whose sysbox-runc was killed may still be under way. The
// lock is let go with the descriptor.
Result<UniqueFd> lock_tree(const std::string& rootfs) {
  UniqueFd root = TRY(sys::open(rootfs, O_RDONLY | O_DIRECTORY));
  while (::flock(root.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return last_error("lock '", rootfs, "'");
  }
  return root;
}

Result<OwnerShift> parse_record(const std::string& text) {
  const nlohmann::json json = TRY(parse_json(text));
  OwnerShift out;
  int format = 0;
  JsonFields in(json, "");
  in.required("version", format);
  if (format > kFormat) in.fail("version", "was written by a newer sysbox-runc");
  in.required("container", out.container_id);
  in.optional_object("uids", out.uids, parse_id_range);
  in.optional_object("gids", out.gids, parse_id_range);
  TRY(std::move(in).finish());
  return out;
}

Result<std::optional<OwnerShift>> find_record(const RecordPlace& place) {
  const Result<std::string> text = sys::read_file_at(place.directory.get(), place.name);
  if (!text.ok() && text.error().code() == ENOENT) return {std::nullopt};
  if (!text.ok()) return text.error();
  return {TRY(parse_record(text.value()).in(place.name))};
}

Result<void> write_record(const RecordPlace& place, const OwnerShift& shift) {
  const nlohmann::json json = {{"version", kFormat},
                               {"container", shift.container_id},
                               {"uids", to_json(shift.uids)},
                               {"gids", to_json(shift.gids)}};
  return replace_file(place.directory.get(), place.name, json.dump(), Durability::kPowerLoss);
}

Result<bool> has_processes(const IdRange& uids) {
  const UniqueFd proc = TRY(sys::open("/proc", O_RDONLY | O_DIRECTORY));
  bool found = false;
  TRY(for_each_entry(proc.get(), [&](const struct dirent& entry) -> Result<void> {
    if (entry.d_name[0] < '0' || entry.d_name[0] > '9') return {};
    const Result<struct stat> process = sys::fstatat(proc.get(), entry.d_name);
    found |= process.ok() && uids.contains(process.value().st_uid);
    return {};
  }));
  return found;
}

// One extended attribute of a name that is not followed; nothing if it has none.
Result<std::optional<std::string>> read_attribute(const std::string& path, const char* name) {
  std::array<char, 65536> value;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled below
  const ssize_t size = ::lgetxattr(path.c_str(), name, value.data(), value.size());
  if (size >= 0) return {std::string(value.data(), static_cast<std::size_t>(size))};
  if (errno == ENODATA || errno == EOPNOTSUPP) return {std::nullopt};
  return last_error("read attribute ", name);
}

Result<void> write_attribute(const std::string& path, const char* name, const std::string& value) {
  if (::lsetxattr(path.c_str(), name, value.data(), value.size(), 0) == 0) return {};
  return last_error("set attribute ", name);
}

class OwnerWalk {
 public:
  OwnerWalk(OwnerMap uids, OwnerMap gids) : uids_(std::move(uids)), gids_(std::move(gids)) {}

  // Directories by their paths from the top, so that few descriptors are open at once; mounts in
  // the tree are not entered.
  Result<void> move_all(const std::string& rootfs) {
    const UniqueFd root = TRY(sys::open(rootfs, O_PATH | O_DIRECTORY));
    std::vector<std::string> directories = {"."};
    TRY(move(root.get(), "."));
    while (!directories.empty()) {
      const std::string path = std::move(directories.back());
      directories.pop_back();
      Result<UniqueFd> opened = sys::openat2(root.get(), path, O_RDONLY | O_DIRECTORY, kInsideOnly);
      if (!opened.ok() && opened.error().code() == EXDEV) continue;
      const UniqueFd directory = TRY(std::move(opened));
      const auto move_entry = [&](const struct dirent& entry) -> Result<void> {
        TRY(move(directory.get(), entry.d_name).in(join(path, "/", entry.d_name)));
        if (entry.d_type == DT_DIR) directories.push_back(join(path, "/", entry.d_name));
        return {};
      };
      TRY(for_each_entry(directory.get(), move_entry));
    }
    return {};
  }

 private:
  Result<void> move(int directory_fd, const std::string& name) {
    const struct stat info = TRY(sys::fstatat(directory_fd, name, AT_SYMLINK_NOFOLLOW));
    const std::string path = join(fd_path(directory_fd), "/", name);
    if (S_ISLNK(info.st_mode)) return move_owner(directory_fd, name, info);
    // chown takes these away.
    const std::optional<std::string> capability =
        S_ISREG(info.st_mode) ? TRY(read_attribute(path, "security.capability")) : std::nullopt;
    TRY(move_owner(directory_fd, name, info));
    if (S_ISREG(info.st_mode) && (info.st_mode & (S_ISUID | S_ISGID)) != 0 &&
        ::fchmodat(directory_fd, name.c_str(), info.st_mode & 07777U, 0) != 0) {
      return last_error("chmod");
    }
    if (capability) {
      const auto rooted = rooted_capability(*capability, uids_.to.first);
      if (rooted) TRY(write_attribute(path, "security.capability", *rooted));
    }
    for (const char* acl : {"system.posix_acl_access", "system.posix_acl_default"}) {
      if (acl[17] == 'd' && !S_ISDIR(info.st_mode)) continue;
      TRY(move_acl(path, acl));
    }
    return {};
  }

  Result<void> move_owner(int directory_fd, const std::string& name, const struct stat& info) {
    const uid_t uid = uids_.moved(info.st_uid);
    const gid_t gid = gids_.moved(info.st_gid);
    if (uid == info.st_uid && gid == info.st_gid) return {};
    return sys::fchownat(directory_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW);
  }

  Result<void> move_acl(const std::string& path, const char* name) {
    const std::optional<std::string> value = TRY(read_attribute(path, name));
    if (!value) return {};
    const std::optional<std::string> moved = moved_acl(*value, uids_, gids_);
    if (!moved || *moved == *value) return {};
    return write_attribute(path, name, *moved);
  }

  OwnerMap uids_;
  OwnerMap gids_;
};

Result<void> move_back(const std::string& rootfs, const RecordPlace& place,
                       const OwnerShift& record) {
  OwnerWalk walk({{record.uids}, {0, record.uids.count}}, {{record.gids}, {0, record.gids.count}});
  Result<void> moved = walk.move_all(rootfs);
  if (!moved.ok() && moved.error().code() != ENOENT) {
    return std::move(moved).in(join("owners of rootfs '", rootfs, "'"));
  }
  return sys::unlinkat(place.directory.get(), place.name);
}

}  // namespace

bool has_shifted_owners(const std::string& rootfs) {
  const Result<RecordPlace> place = record_place(rootfs);
  return place.ok() &&
         sys::fstatat(place.value().directory.get(), place.value().name, AT_SYMLINK_NOFOLLOW).ok();
}

Result<void> shift_owners(const std::string& rootfs, const OwnerShift& wanted) {
  if (wanted.uids.contains(0) || wanted.uids.first < wanted.uids.count ||
      wanted.gids.first < wanted.gids.count) {
    return Error(EINVAL, join("rootfs '", rootfs, "': the container's ids overlap the image's"));
  }
  const UniqueFd lock = TRY(lock_tree(rootfs));
  const RecordPlace place = TRY(record_place(rootfs));
  const std::optional<OwnerShift> earlier = TRY(find_record(place));
  if (earlier) {
    if (earlier->container_id != wanted.container_id && TRY(has_processes(earlier->uids))) {
      return Error(EBUSY, join("rootfs '", rootfs, "' is in use by container '",
                               earlier->container_id, "', whose ids its files have"));
    }
    // Back to the start first: the record holds one range, and the tree must hold no other.
    if (earlier->uids != wanted.uids || earlier->gids != wanted.gids) {
      TRY(move_back(rootfs, place, *earlier));
    }
  }
  TRY(write_record(place, wanted));
  OwnerWalk walk({{{0, wanted.uids.count}}, wanted.uids}, {{{0, wanted.gids.count}}, wanted.gids});
  return walk.move_all(rootfs).in(join("owners of rootfs '", rootfs, "'"));
}

Result<void> restore_owners(const std::string& rootfs, const std::string& container_id) {
  const Result<RecordPlace> place = record_place(rootfs);
  if (!place.ok()) return {};  // gone as a whole, or never ours
  if (!has_shifted_owners(rootfs)) return {};
  const Result<UniqueFd> lock = lock_tree(rootfs);
  if (!lock.ok() && lock.error().code() != ENOENT) return lock.error();
  const std::optional<OwnerShift> record = TRY(find_record(place.value()));
  if (!record || record->container_id != container_id) return {};
  return move_back(rootfs, place.value(), *record);
}

}  // namespace sysbox::runc

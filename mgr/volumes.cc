#include "mgr/volumes.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/copy_tree.h"
#include "common/directory_entries.h"
#include "common/json_fields.h"
#include "common/root_dir.h"
#include "common/state_file.h"
#include "common/syscalls.h"
#include "mgr/api_json.h"
#include "mgr/layer_attributes.h"
#include "mgr/volume_in_layer.h"

namespace sysbox::mgr {
namespace {

constexpr int kVersion = 1;
constexpr const char* kRecordName = "container.json";
// A volume that is being filled. Complete ones alone have their own names.
constexpr const char* kUnfinishedName = "unfinished";
// Beside an overlay's upper layer.
constexpr const char* kHomeName = "sysbox-volumes";
// No container can have this id.
constexpr const char* kTrashName = "~trash";
// Of all volumes of a container: a stop waits for it.
constexpr auto kListingTime = std::chrono::seconds(40);

static_assert(std::is_sorted(kSpecialDirectories.begin(), kSpecialDirectories.end(),
                             [](const SpecialDirectory& a, const SpecialDirectory& b) {
                               return a.destination < b.destination;
                             }));

// Private to root: what lies below may hold setuid programs of a container.
Result<UniqueFd> make_private_directory(int parent_fd, const std::string& name) {
  const Result<void> made = sys::mkdirat(parent_fd, name, 0700);
  if (!made.ok() && made.error().code() != EEXIST) return made.error();
  UniqueFd directory = TRY(open_directory(parent_fd, name));
  TRY(sys::fchmod(directory.get(), 0700).in(name));
  return directory;
}

// `path` and its missing parents; those that exist stay as they are.
Result<UniqueFd> make_data_root(const std::string& path) {
  Result<UniqueFd> directory = sys::open(path, O_RDONLY | O_DIRECTORY);
  if (directory.ok() || directory.error().code() != ENOENT || path == "/") return directory;
  TRY(make_data_root(parent_path(path)));
  TRY(sys::mkdirat(AT_FDCWD, path, 0700));
  return sys::open(path, O_RDONLY | O_DIRECTORY);
}

bool is_own(const std::vector<std::string>& own_destinations, std::string_view destination) {
  return std::any_of(own_destinations.begin(), own_destinations.end(), [&](const std::string& own) {
    return own == "/" || clean_path(own) == destination;
  });
}

// As the caller sees it: an engine may have mounted it in a mount namespace of its own.
std::string rootfs_of_caller(const RegisterRequest& request) {
  const std::string root = join("/proc/", request.caller_pid, "/root");
  const bool is_there = request.caller_pid != 0 && ::access(root.c_str(), F_OK) == 0;
  return is_there ? root + request.rootfs : request.rootfs;
}

struct Record {
  Lifeline lifeline;
  std::string rootfs;
  std::string upper_layer;

  bool operator==(const Record&) const = default;
};

// Only a power failure can lose it: it is not worth an fsync in every container's start.
Result<void> write_record(int container_fd, const std::string& id, const Record& record) {
  nlohmann::json json = {{"version", kVersion}, {"id", id}, {"lifeline", to_json(record.lifeline)}};
  if (!record.upper_layer.empty()) {
    json["rootfs"] = record.rootfs;
    json["upper_layer"] = record.upper_layer;
  }
  return replace_file(container_fd, kRecordName,
                      json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n",
                      Durability::kProcessCrash);
}

Result<Record> read_record(int container_fd) {
  const std::string text = TRY(sys::read_file_at(container_fd, kRecordName));
  const nlohmann::json json = TRY(parse_json(text).in(kRecordName));
  int version = 0;
  Record record;
  JsonFields fields(json, "");
  fields.required("version", version);
  fields.required_object("lifeline", record.lifeline, parse_lifeline);
  fields.optional("rootfs", record.rootfs);
  fields.optional("upper_layer", record.upper_layer);
  TRY(std::move(fields).finish().in(kRecordName));
  if (version != kVersion) {
    return Error(EINVAL, join(kRecordName, ": version ", version, " is not known"));
  }
  return record;
}

bool holds_volumes(int directory_fd) {
  return std::any_of(kSpecialDirectories.begin(), kSpecialDirectories.end(),
                     [directory_fd](const SpecialDirectory& special) {
                       return ::faccessat(directory_fd, std::string(special.name).c_str(), F_OK,
                                          AT_SYMLINK_NOFOLLOW) == 0;
                     });
}

// The image's directory, if it has one; never one outside the rootfs.
Result<std::optional<UniqueFd>> find_in_image(const RootDir& rootfs, std::string_view destination) {
  Result<UniqueFd> found = rootfs.open_inside(std::string(destination), O_RDONLY | O_DIRECTORY);
  if (found.ok()) return std::optional(std::move(found).value());
  const int code = found.error().code();
  if (code == ENOENT || code == ENOTDIR || code == ELOOP) return std::optional<UniqueFd>();
  return std::move(found).error();
}

}  // namespace

Volumes::Volumes(std::string path, UniqueFd directory, UniqueFd trash)
    : path_(std::move(path)),
      directory_(std::move(directory)),
      trash_(std::make_unique<Trash>(std::move(trash))) {}

Result<Volumes> Volumes::open(const std::string& data_root) {
  const UniqueFd root = TRY(make_data_root(data_root).in("data root"));
  UniqueFd directory = TRY(make_private_directory(root.get(), "volumes").in(data_root));
  std::string path = clean_path(data_root) + "/volumes";
  UniqueFd trash = TRY(make_private_directory(directory.get(), kTrashName).in(path));
  return Volumes(std::move(path), std::move(directory), std::move(trash));
}

std::string Volumes::path_of(const std::string& id) const { return join(path_, "/", id); }

// The container's own directory, with a record of its lifeline in it.
Result<UniqueFd> Volumes::open_container(const RegisterRequest& request, const Lifeline& lifeline,
                                         bool& is_new) {
  const std::string& id = request.id;
  const Record record{lifeline, request.upper_layer.empty() ? "" : request.rootfs,
                      request.upper_layer};
  Result<UniqueFd> existing = open_directory(directory_.get(), id);
  if (!existing.ok() && existing.error().code() != ENOENT) return existing;
  is_new = !existing.ok();
  if (!is_new) {
    const Result<Record> recorded = read_record(existing.value().get());
    // Without a readable record (power failed right after the container's first start) the
    // data is kept: the same id is all but surely the same container.
    if (recorded.ok() && !is_same_lifeline(recorded.value().lifeline, lifeline)) {
      TRY(discard(id));
      is_new = true;
    } else if (!recorded.ok() || recorded.value() != record) {
      TRY(write_record(existing.value().get(), id, record));
    }
  }
  if (!is_new) return existing;
  TRY(sys::mkdirat(directory_.get(), id, 0700));
  UniqueFd made = TRY(open_directory(directory_.get(), id));
  if (Result<void> written = write_record(made.get(), id, record); !written.ok()) {
    static_cast<void>(discard(id).ok());
    return std::move(written).error();
  }
  return made;
}

// Beside the upper layer, on its file system; volumes that are in the container's own directory
// already stay there.
Result<Volumes::Home> Volumes::open_home(int container_fd, const std::string& id,
                                         const std::string& upper_layer) const {
  if (upper_layer.empty() || holds_volumes(container_fd)) {
    Home home{path_of(id), {}, upper_layer};
    home.directory = TRY(sys::openat(container_fd, ".", O_RDONLY | O_DIRECTORY));
    return home;
  }
  Home home{join(parent_path(upper_layer), "/", kHomeName), {}, upper_layer};
  home.directory = TRY(sys::open(home.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return home;
}

Result<Volumes::Home> Volumes::make_home(int container_fd, const RegisterRequest& request,
                                         const RootDir& rootfs) const {
  if (!request.upper_layer.empty() && !holds_volumes(container_fd)) {
    const std::string parent = parent_path(request.upper_layer);
    const UniqueFd beside = TRY(sys::open(parent, O_RDONLY | O_DIRECTORY));
    TRY(make_private_directory(beside.get(), kHomeName).in(parent));
  }
  Home home = TRY(open_home(container_fd, request.id, request.upper_layer));
  // An engine that has shifted the ids of the root file system itself expects the same of all that
  // becomes a part of it.
  const struct stat top = TRY(sys::fstat(rootfs.fd()));
  if (request.given_uids && request.given_uids->contains(top.st_uid)) {
    home.root_uid = top.st_uid;
    home.root_gid = top.st_gid;
  }
  return home;
}

Result<Volumes::Stored> Volumes::prepare(const RegisterRequest& request,
                                         const std::atomic<bool>& cancelled) {
  Stored stored{request.id, TRY(look_at_lifeline(request.lifeline).in("lifeline")), {}};
  bool is_new = false;
  const UniqueFd container =
      TRY(open_container(request, stored.lifeline, is_new).in(path_of(request.id)));
  Result<std::vector<Volume>> volumes = fill(container.get(), request, cancelled);
  if (!volumes.ok()) {
    // The first mistake is the one to tell.
    if (is_new) static_cast<void>(discard(request.id).ok());
    return std::move(volumes).error();
  }
  stored.volumes = std::move(volumes).value();
  return stored;
}

Result<std::vector<Volume>> Volumes::fill(int container_fd, const RegisterRequest& request,
                                          const std::atomic<bool>& cancelled) {
  const std::string rootfs_path = rootfs_of_caller(request);
  const RootDir rootfs = TRY(RootDir::open(rootfs_path).in("rootfs"));
  const Home home = TRY(make_home(container_fd, request, rootfs));
  TRY(move_all(home, VolumePlace::kBesideLayer, rootfs_path, cancelled));
  std::vector<Volume> volumes;
  for (const SpecialDirectory& special : kSpecialDirectories) {
    if (is_own(request.own_destinations, special.destination)) continue;
    Volume volume{std::string(special.destination), join(home.path, "/", special.name)};
    TRY(prepare_volume(home, special, rootfs, cancelled).in(volume.source));
    volumes.push_back(std::move(volume));
  }
  return volumes;
}

Result<void> Volumes::prepare_volume(const Home& home, const SpecialDirectory& special,
                                     const RootDir& rootfs, const std::atomic<bool>& cancelled) {
  const std::string name(special.name);
  const std::string destination(special.destination);
  ImageContent content = ImageContent::kNone;
  struct stat existing {};
  if (::fstatat(home.directory.get(), name.c_str(), &existing, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT) return last_error("stat");
    const std::optional<UniqueFd> image = TRY(find_in_image(rootfs, destination).in("rootfs"));
    if (image && !TRY(is_empty_directory(image->get()))) content = ImageContent::kSome;
    TRY(make_volume(home, special, image ? image->get() : -1, cancelled));
  }
  if (home.upper_layer.empty()) return {};
  const std::string path = TRY(find_path_in_layer(rootfs, destination).in(destination));
  return path.empty() ? Result<void>()
                      : mark_volume(home.directory.get(), name, path, content).in(destination);
}

Result<void> Volumes::make_volume(const Home& home, const SpecialDirectory& special, int image_fd,
                                  const std::atomic<bool>& cancelled) {
  const std::string name(special.name);
  const int home_fd = home.directory.get();
  if (image_fd < 0) {
    TRY(sys::mkdirat(home_fd, name, special.mode));
    TRY(sys::fchownat(home_fd, name, home.root_uid, home.root_gid, AT_SYMLINK_NOFOLLOW));
    // The umask may have taken bits away.
    if (::fchmodat(home_fd, name.c_str(), special.mode, 0) != 0) return last_error("chmod");
    return {};
  }
  Result<void> made = sys::mkdirat(home_fd, kUnfinishedName, 0700);
  if (!made.ok() && made.error().code() == EEXIST) {
    TRY(throw_away(home_fd, kUnfinishedName));
    made = sys::mkdirat(home_fd, kUnfinishedName, 0700);
  }
  TRY(std::move(made));
  const UniqueFd target = TRY(open_directory(home_fd, kUnfinishedName));
  Result<void> copied = copy_tree(image_fd, target.get(), cancelled);
  if (copied.ok()) copied = apply_layer_attributes(target.get());
  if (!copied.ok()) copied = std::move(copied).in(join("copy the image's ", special.destination));
  if (copied.ok()) copied = sys::renameat(home_fd, kUnfinishedName, home_fd, name);
  if (!copied.ok()) static_cast<void>(throw_away(home_fd, kUnfinishedName).ok());
  return copied;
}

// The trash may be on another file system.
Result<void> Volumes::throw_away(int home_fd, const std::string& name) {
  Result<void> moved = trash_->put(home_fd, name);
  if (moved.ok() || moved.error().code() != EXDEV) return moved;
  return remove_volume(home_fd, name);
}

Result<void> Volumes::move_all(const Home& home, VolumePlace place, const std::string& rootfs,
                               const std::atomic<bool>& cancelled) {
  if (home.upper_layer.empty()) return {};
  const UniqueFd upper = TRY(sys::open(home.upper_layer, O_RDONLY | O_DIRECTORY));
  const Deadline deadline = after(kListingTime);
  bool has_moved = false;
  Result<void> first;
  for (const SpecialDirectory& special : kSpecialDirectories) {
    const std::string name(special.name);
    const Result<bool> moved =
        place == VolumePlace::kInLayer
            ? publish_volume(home.directory.get(), name, upper.get(), deadline, cancelled)
            : withdraw_volume(home.directory.get(), name, upper.get());
    has_moved |= moved.ok() ? moved.value() : true;
    if (first.ok() && !moved.ok()) first = Error(moved.error()).in(join(home.path, "/", name));
  }
  if (!has_moved) return first;
  const Result<void> forgotten = forget_cached_names(rootfs);
  if (first.ok() && !forgotten.ok() && place == VolumePlace::kBesideLayer) return forgotten;
  return first;
}

Result<void> Volumes::move(const std::string& id, VolumePlace place,
                           const std::atomic<bool>& cancelled) {
  const Result<UniqueFd> container = open_directory(directory_.get(), id);
  if (!container.ok()) {
    return container.error().code() == ENOENT ? Result<void>() : container.error();
  }
  const Record record = TRY(read_record(container.value().get()).in(path_of(id)));
  if (record.upper_layer.empty()) return {};
  const Home home = TRY(open_home(container.value().get(), id, record.upper_layer));
  return move_all(home, place, record.rootfs, cancelled);
}

Result<Volumes::Stored> Volumes::find(const std::string& id) const {
  const UniqueFd container = TRY(open_directory(directory_.get(), id).in(path_));
  Record record = TRY(read_record(container.get()).in(path_of(id)));
  Stored stored{id, std::move(record.lifeline), {}};
  const Result<Home> home = open_home(container.get(), id, record.upper_layer);
  if (!home.ok()) return stored;  // the engine has removed them already
  for (const SpecialDirectory& special : kSpecialDirectories) {
    const std::string name(special.name);
    if (::faccessat(home.value().directory.get(), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
      continue;
    }
    stored.volumes.push_back(
        {std::string(special.destination), join(home.value().path, "/", name)});
  }
  return stored;
}

std::vector<Volumes::Stored> Volumes::stored(std::vector<std::string>& warnings) const {
  std::vector<Stored> all;
  const Result<void> listed =
      for_each_entry(directory_.get(), [&](const struct dirent& entry) -> Result<void> {
        const std::string id = entry.d_name;
        if (!check_container_id(id).ok()) return {};
        Result<Stored> found = find(id);
        if (found.ok()) {
          all.push_back(std::move(found).value());
        } else {
          warnings.push_back(
              join("keeping ", path_of(id),
                   ", of which nobody knows when it may go: ", found.error().message()));
        }
        return {};
      });
  if (!listed.ok()) warnings.push_back(join(path_, ": ", listed.error().message()));
  return all;
}

Result<void> Volumes::discard(const std::string& id) {
  Result<void> moved = trash_->put(directory_.get(), id);
  if (!moved.ok() && moved.error().code() == ENOENT) return {};
  return moved;
}

}  // namespace sysbox::mgr

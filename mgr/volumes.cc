#include "mgr/volumes.h"

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

namespace sysbox::mgr {
namespace {

constexpr int kVersion = 1;
constexpr const char* kRecordName = "container.json";
// A volume that is being filled. Complete ones alone have their own names.
constexpr const char* kUnfinishedName = "unfinished";
// No container can have this id.
constexpr const char* kTrashName = "~trash";

static_assert(std::is_sorted(kSpecialDirectories.begin(), kSpecialDirectories.end(),
                             [](const SpecialDirectory& a, const SpecialDirectory& b) {
                               return a.destination < b.destination;
                             }));

Result<UniqueFd> open_directory(int parent_fd, const std::string& name) {
  return sys::openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

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

// Only a power failure can lose it: it is not worth an fsync in every container's start.
Result<void> write_record(int container_fd, const std::string& id, const Lifeline& lifeline) {
  const nlohmann::json record = {
      {"version", kVersion}, {"id", id}, {"lifeline", to_json(lifeline)}};
  return replace_file(container_fd, kRecordName,
                      record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n",
                      Durability::kProcessCrash);
}

Result<Lifeline> read_record(int container_fd) {
  const std::string text = TRY(sys::read_file_at(container_fd, kRecordName));
  const nlohmann::json record = TRY(parse_json(text).in(kRecordName));
  int version = 0;
  Lifeline lifeline;
  JsonFields fields(record, "");
  fields.required("version", version);
  if (fields.find("lifeline") == nullptr) fields.fail("lifeline", "is missing");
  fields.optional_object("lifeline", lifeline, parse_lifeline);
  TRY(std::move(fields).finish().in(kRecordName));
  if (version != kVersion) {
    return Error(EINVAL, join(kRecordName, ": version ", version, " is not known"));
  }
  return lifeline;
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
Result<UniqueFd> Volumes::open_container(const std::string& id, const Lifeline& lifeline,
                                         bool& is_new) {
  Result<UniqueFd> existing = open_directory(directory_.get(), id);
  if (!existing.ok() && existing.error().code() != ENOENT) return existing;
  is_new = !existing.ok();
  if (!is_new) {
    const Result<Lifeline> recorded = read_record(existing.value().get());
    // Without a readable record (power failed right after the container's first start) the
    // data is kept: the same id is all but surely the same container.
    if (recorded.ok() && !is_same_lifeline(recorded.value(), lifeline)) {
      TRY(discard(id));
      is_new = true;
    } else if (!recorded.ok() || recorded.value() != lifeline) {
      TRY(write_record(existing.value().get(), id, lifeline));
    }
  }
  if (!is_new) return existing;
  TRY(sys::mkdirat(directory_.get(), id, 0700));
  UniqueFd made = TRY(open_directory(directory_.get(), id));
  if (Result<void> written = write_record(made.get(), id, lifeline); !written.ok()) {
    static_cast<void>(discard(id).ok());
    return std::move(written).error();
  }
  return made;
}

Result<Volumes::Stored> Volumes::prepare(const RegisterRequest& request,
                                         const std::atomic<bool>& cancelled) {
  Stored stored{request.id, TRY(look_at_lifeline(request.lifeline).in("lifeline")), {}};
  bool is_new = false;
  const UniqueFd container =
      TRY(open_container(request.id, stored.lifeline, is_new).in(path_of(request.id)));
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
  const RootDir rootfs = TRY(RootDir::open(request.rootfs).in("rootfs"));
  std::vector<Volume> volumes;
  for (const SpecialDirectory& special : kSpecialDirectories) {
    if (is_own(request.own_destinations, special.destination)) continue;
    const std::string name(special.name);
    std::string source = join(path_of(request.id), "/", name);
    struct stat existing {};
    if (::fstatat(container_fd, name.c_str(), &existing, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno != ENOENT) return last_error("stat '", source, "'");
      std::optional<UniqueFd> image =
          TRY(find_in_image(rootfs, special.destination).in(request.rootfs));
      TRY(make_volume(container_fd, special, image ? image->get() : -1, cancelled).in(source));
    }
    volumes.push_back({std::string(special.destination), std::move(source)});
  }
  return volumes;
}

Result<void> Volumes::make_volume(int container_fd, const SpecialDirectory& special, int image_fd,
                                  const std::atomic<bool>& cancelled) {
  const std::string name(special.name);
  if (image_fd < 0) {
    TRY(sys::mkdirat(container_fd, name, special.mode));
    // The umask may have taken bits away.
    if (::fchmodat(container_fd, name.c_str(), special.mode, 0) != 0) return last_error("chmod");
    return {};
  }
  Result<void> made = sys::mkdirat(container_fd, kUnfinishedName, 0700);
  if (!made.ok() && made.error().code() == EEXIST) {
    TRY(trash_->put(container_fd, kUnfinishedName));
    made = sys::mkdirat(container_fd, kUnfinishedName, 0700);
  }
  TRY(std::move(made));
  const UniqueFd target = TRY(open_directory(container_fd, kUnfinishedName));
  Result<void> copied = copy_tree(image_fd, target.get(), cancelled)
                            .in(join("copy the image's ", special.destination));
  if (copied.ok()) copied = sys::renameat(container_fd, kUnfinishedName, container_fd, name);
  if (!copied.ok()) static_cast<void>(trash_->put(container_fd, kUnfinishedName).ok());
  return copied;
}

Result<Volumes::Stored> Volumes::find(const std::string& id) const {
  const UniqueFd container = TRY(open_directory(directory_.get(), id).in(path_));
  Stored stored{id, TRY(read_record(container.get()).in(path_of(id))), {}};
  for (const SpecialDirectory& special : kSpecialDirectories) {
    const std::string name(special.name);
    if (::faccessat(container.get(), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0) continue;
    stored.volumes.push_back({std::string(special.destination), join(path_of(id), "/", name)});
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

#include "runc-ext/system_container/joined_namespaces.h"

#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <array>

#include "common/id_map_text.h"
#include "common/short_lived_task.h"
#include "common/syscalls.h"
#include "runc-ext/system_container/steps.h"

namespace sysbox::runc {
namespace {

struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileIdentity&) const = default;
};
Result<FileIdentity> identity_of(int fd) {
  const struct stat info = TRY(sys::fstat(fd));
  return FileIdentity{info.st_dev, info.st_ino};
}

// The runtime runs in the host's namespaces; an engine in a namespace of its own (a network one,
// say) can still name the one that process 1 is in.
Result<bool> is_the_hosts(const NamespaceInfo& info, const FileIdentity& given) {
  for (const char* whose : {"/proc/thread-self/ns/", "/proc/1/ns/"}) {
    const Result<struct stat> own = sys::fstatat(AT_FDCWD, join(whose, info.proc_name));
    if (!own.ok() && own.error().code() != EACCES && own.error().code() != ENOENT) {
      return own.error();
    }
    if (own.ok() && FileIdentity{own.value().st_dev, own.value().st_ino} == given) return true;
  }
  return false;
}

Result<void> check_type(int fd, const NamespaceInfo& info, const std::string& path) {
  if (TRY(sys::fstatfs_type(fd)) != NSFS_MAGIC) {
    return Error(EINVAL, join("'", path, "' is not a namespace"));
  }
  const int type = ::ioctl(fd, NS_GET_NSTYPE);
  if (type < 0) return last_error("'", path, "': ask for the type of namespace");
  if (type == info.clone_flag) return {};
  const char* found = "another";
  for (const NamespaceInfo& other : namespace_infos()) {
    if (other.clone_flag == type) found = other.oci_name;
  }
  return Error(EINVAL,
               join("'", path, "' is a namespace of type ", found, ", not ", info.oci_name));
}

Result<UniqueFd> open_checked(const OciNamespace& entry) {
  const NamespaceInfo& info = namespace_info(entry.type);
  // A path that leads to a FIFO must not hold the engine up.
  Result<UniqueFd> opened = sys::open(entry.path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!opened.ok()) return errno_error(opened.error().code(), "'", entry.path, "'");
  TRY(check_type(opened.value().get(), info, entry.path));
  const FileIdentity identity = TRY(identity_of(opened.value().get()));
  if (TRY(is_the_hosts(info, identity))) {
    return Error(EINVAL, join("'", entry.path, "' is the host's ", info.oci_name,
                              " namespace; sharing it", host_sharing_refusal(entry.type)));
  }
  return opened;
}

// The user namespace that owns a namespace, or that a user namespace is a child of; nothing if
// that one is neither ours nor below it.
Result<std::optional<UniqueFd>> relative_of(int ns_fd, unsigned long request) {
  UniqueFd found(::ioctl(ns_fd, request));
  if (found.valid()) return {std::move(found)};
  if (errno == EPERM) return {std::nullopt};
  return last_error("ask for the user namespace of a namespace");
}

struct MapRequest {
  int user_fd;
  int proc_fd;
  std::array<int, 2> map_fds;
  int code;
};

// Runs in a child of its own: the maps of a namespace can only be read from inside it. A reader
// inside sees the ids as its parent does, which is us.
int open_maps_inside(void* argument) {
  auto* request = static_cast<MapRequest*>(argument);
  if (::setns(request->user_fd, CLONE_NEWUSER) != 0) {
    request->code = errno;
    return 0;
  }
  request->map_fds[0] = ::openat(request->proc_fd, "self/uid_map", O_RDONLY | O_CLOEXEC);
  request->map_fds[1] = ::openat(request->proc_fd, "self/gid_map", O_RDONLY | O_CLOEXEC);
  if (request->map_fds[0] < 0 || request->map_fds[1] < 0) request->code = errno;
  return 0;
}

Result<void> read_maps(JoinedUserNamespace& user) {
  const UniqueFd proc = TRY(sys::open("/proc", O_PATH | O_DIRECTORY));
  MapRequest request{user.fd.get(), proc.get(), {-1, -1}, 0};
  TRY(run_short_lived_task(0, open_maps_inside, &request));
  const UniqueFd uid_map(request.map_fds[0]);
  const UniqueFd gid_map(request.map_fds[1]);
  if (request.code != 0) return errno_error(request.code, "read its id maps");
  user.uids = parse_id_map_text(TRY(sys::read_all(uid_map.get())));
  user.gids = parse_id_map_text(TRY(sys::read_all(gid_map.get())));
  return {};
}

Result<void> check_maps(const JoinedUserNamespace& user, const OciLinux& linux_part) {
  TRY(check_map("uid_map", user.uids));
  TRY(check_map("gid_map", user.gids));
  // containerd and CRI-O say both; they must mean the same.
  const auto is_same = [](const IdMap& given, const IdMap& joined) {
    return given.entries.empty() || given.as_single_range() == joined.as_single_range();
  };
  const bool same_uids = is_same(linux_part.uid_mappings, user.uids);
  const bool same_gids = is_same(linux_part.gid_mappings, user.gids);
  if (same_uids && same_gids) return {};
  return Error(EINVAL, join("its ids are not those of linux.", same_uids ? "g" : "u",
                            "idMappings; leave the mappings out"));
}

Result<JoinedUserNamespace> take_user_namespace(UniqueFd fd, const std::string& origin,
                                                const FileIdentity& own,
                                                const OciLinux& linux_part) {
  JoinedUserNamespace user;
  user.fd = std::move(fd);
  user.origin = origin;
  user.inode = TRY(identity_of(user.fd.get())).inode;
  const std::optional<UniqueFd> parent = TRY(relative_of(user.fd.get(), NS_GET_PARENT));
  if (!parent || TRY(identity_of(parent->get())) != own) {
    return Error(EINVAL, join(origin,
                              ": the user namespace is not one that was made on this host, "
                              "but one inside another container"));
  }
  TRY(read_maps(user).in(origin));
  TRY(check_maps(user, linux_part).in(origin));
  return user;
}

// What a container can do nothing with, or must not have, when its root has no rights over it.
Result<void> refuse_foreign(NamespaceType type) {
  if (type == NamespaceType::kMount) {
    return Error(EINVAL,
                 "it belongs to the host's user namespace and shows the host's files; join one "
                 "of another system container, or none");
  }
  if (type == NamespaceType::kCgroup) {
    return Error(EINVAL,
                 "it belongs to the host's user namespace, so root inside could not mount its "
                 "cgroups; leave the path out");
  }
  return {};
}

// All that is needed to sort the spec's entries out.
class Opening {
 public:
  explicit Opening(const OciLinux& linux_part) : linux_part_(linux_part) {}

  Result<JoinedNamespaces> run() {
    const UniqueFd own = TRY(sys::open("/proc/thread-self/ns/user", O_RDONLY));
    own_ = TRY(identity_of(own.get()));
    TRY(open_user());
    for (std::size_t i = 0; i < linux_part_.namespaces.size(); ++i) {
      const OciNamespace& entry = linux_part_.namespaces[i];
      if (entry.path.empty() || entry.type == NamespaceType::kUser) continue;
      TRY(open_other(entry, path_of(i)));
    }
    return check_processes_are_seen();
  }

 private:
  // The /proc of a joined mount namespace is that of a pid namespace, which knows only its own.
  Result<JoinedNamespaces> check_processes_are_seen() {
    const JoinedNamespace* mounts = joined_.find(NamespaceType::kMount);
    if (mounts != nullptr && joined_.find(NamespaceType::kPid) == nullptr) {
      return Error(EINVAL, join("linux.namespaces: mount namespace '", mounts->path,
                                "' can be shared with its container's pid namespace only"));
    }
    return std::move(joined_);
  }

  static std::string path_of(std::size_t index) {
    return join("linux.namespaces[", index, "].path");
  }

  Result<void> open_user() {
    for (std::size_t i = 0; i < linux_part_.namespaces.size(); ++i) {
      const OciNamespace& entry = linux_part_.namespaces[i];
      if (entry.type != NamespaceType::kUser || entry.path.empty()) continue;
      UniqueFd fd = TRY(open_checked(entry).in(path_of(i)));
      joined_.user = TRY(take_user_namespace(std::move(fd), join(path_of(i), " '", entry.path, "'"),
                                             own_, linux_part_));
    }
    return {};
  }

  Result<void> open_other(const OciNamespace& entry, const std::string& json_path) {
    JoinedNamespace opened;
    opened.type = entry.type;
    opened.path = entry.path;
    opened.fd = TRY(open_checked(entry).in(json_path));
    const std::string origin = join(json_path, " '", entry.path, "'");
    std::optional<UniqueFd> owner = TRY(relative_of(opened.fd.get(), NS_GET_USERNS));
    if (!owner) {
      return Error(EINVAL, origin + ": it belongs to a user namespace above the runtime's own");
    }
    const FileIdentity owner_identity = TRY(identity_of(owner->get()));
    opened.foreign = owner_identity == own_;
    if (opened.foreign) {
      TRY(refuse_foreign(opened.type).in(origin));
    } else if (!joined_.user) {
      joined_.user = TRY(take_user_namespace(*std::move(owner), origin, own_, linux_part_));
    } else if (owner_identity.inode != joined_.user->inode) {
      return Error(EINVAL, join(origin, ": it belongs to another user namespace than ",
                                joined_.user->origin));
    }
    joined_.others.push_back(std::move(opened));
    return {};
  }

  const OciLinux& linux_part_;
  FileIdentity own_;
  JoinedNamespaces joined_;
};

}  // namespace

const JoinedNamespace* JoinedNamespaces::find(NamespaceType type) const {
  for (const JoinedNamespace& joined : others) {
    if (joined.type == type) return &joined;
  }
  return nullptr;
}

bool JoinedNamespaces::is_foreign(NamespaceType type) const {
  const JoinedNamespace* joined = find(type);
  return joined != nullptr && joined->foreign;
}

Result<JoinedNamespaces> open_joined_namespaces(const OciLinux& linux_part) {
  return Opening(linux_part).run();
}

}  // namespace sysbox::runc

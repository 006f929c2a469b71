#include "runc-ext/cgroup/owned_directory.h"

#include <dirent.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <sstream>

#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

// The kernel gives a new cgroup's files to the maker's fsuid: one mkdir instead of a chown of
// each of some 200 files. While it lives, the thread makes files as `uid` and `gid`, but keeps
// its right to pass directories of others, which a change of fsuid from 0 would take away.
class ActingAs {
 public:
  ActingAs(uid_t uid, gid_t gid) {
    if (::syscall(SYS_capget, &header_, old_) != 0) return;
    old_gid_ = ::setfsgid(gid);
    old_uid_ = ::setfsuid(uid);
    __user_cap_data_struct raised[2] = {old_[0], old_[1]};
    (void)::syscall(SYS_capset, &header_, raised);  // without it mkdir says EACCES
    active_ = true;
  }
  ~ActingAs() {
    if (!active_) return;
    ::setfsuid(static_cast<uid_t>(old_uid_));
    ::setfsgid(static_cast<gid_t>(old_gid_));
    (void)::syscall(SYS_capset, &header_, old_);
  }
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;

 private:
  __user_cap_header_struct header_ = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct old_[2] = {};
  int old_uid_ = 0, old_gid_ = 0;
  bool active_ = false;
};

struct DirectoryCloser {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

Result<void> chown_one(int dirfd, const std::string& name, uid_t uid, gid_t gid) {
  return sys::fchownat(dirfd, name, uid, gid, AT_SYMLINK_NOFOLLOW);
}

Result<void> chown_all(const std::string& directory, uid_t uid, gid_t gid) {
  const std::unique_ptr<DIR, DirectoryCloser> stream(::opendir(directory.c_str()));
  if (stream == nullptr) return last_error("open cgroup '", directory, "'");
  const int dirfd = ::dirfd(stream.get());
  TRY(chown_one(dirfd, ".", uid, gid).in(directory));
  while (const dirent* entry = ::readdir(stream.get())) {
    if (entry->d_type != DT_REG) continue;  // cgroups below have owners of their own
    TRY(chown_one(dirfd, entry->d_name, uid, gid).in(directory));
  }
  return {};
}

int make_as(const std::string& directory, uid_t uid, gid_t gid) {
  const ActingAs owner(uid, gid);
  return ::mkdir(directory.c_str(), 0755) == 0 ? 0 : errno;
}

}  // namespace

Result<void> make_owned_cgroup(const std::string& directory, uid_t uid, gid_t gid) {
  const int code = make_as(directory, uid, gid);
  if (code == 0) {
    struct stat made = {};
    if (::stat(directory.c_str(), &made) == 0 && made.st_uid == uid && made.st_gid == gid) {
      return {};
    }
  } else if (code != EEXIST && ::mkdir(directory.c_str(), 0755) != 0) {
    return last_error("mkdir '", directory, "'");
  }
  return chown_all(directory, uid, gid);
}

Result<void> delegate_v2_cgroup(const std::string& directory, uid_t uid, gid_t gid) {
  const UniqueFd fd = TRY(sys::open(directory, O_RDONLY | O_DIRECTORY));
  TRY(chown_one(fd.get(), ".", uid, gid).in(directory));
  // Since Linux 4.15; without it, what was delegated before.
  std::istringstream names(sys::read_file("/sys/kernel/cgroup/delegate")
                               .value_or("cgroup.procs cgroup.threads cgroup.subtree_control"));
  for (std::string name; names >> name;) {
    const Result<void> given = chown_one(fd.get(), name, uid, gid);
    // The files of controllers that this cgroup does not have.
    if (!given && given.error().code() != ENOENT) return Error(given.error()).in(directory);
  }
  return {};
}

}  // namespace sysbox::runc

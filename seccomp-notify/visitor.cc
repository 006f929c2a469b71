#include "seccomp-notify/visitor.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include "common/syscalls.h"
#include "seccomp-notify/mount_numbers.h"

namespace sysbox::seccomp {
namespace {

constexpr std::uint64_t bit(int capability) { return std::uint64_t{1} << capability; }

// The C library's wrappers of setgroups() and the like change all threads; these change the
// calling one.
Result<void> set_thread_groups(const std::vector<gid_t>& groups) {
  if (::syscall(SYS_setgroups, groups.size(), groups.data()) != 0) return last_error("setgroups");
  return {};
}

using CapabilityData = std::array<struct __user_cap_data_struct, 2>;

Result<CapabilityData> get_thread_capabilities() {
  struct __user_cap_header_struct header {
    _LINUX_CAPABILITY_VERSION_3, 0
  };
  CapabilityData data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return last_error("capget");
  return data;
}

Result<void> set_thread_capabilities(std::uint64_t permitted, std::uint64_t effective) {
  struct __user_cap_header_struct header {
    _LINUX_CAPABILITY_VERSION_3, 0
  };
  CapabilityData data{};
  data[0].permitted = static_cast<std::uint32_t>(permitted);
  data[0].effective = static_cast<std::uint32_t>(effective);
  data[1].permitted = static_cast<std::uint32_t>(permitted >> 32);
  data[1].effective = static_cast<std::uint32_t>(effective >> 32);
  if (::syscall(SYS_capset, &header, data.data()) != 0) return last_error("capset");
  return {};
}

constexpr uid_t kUnchanged = ~uid_t{0};  // setfsuid() of an invalid id only tells the present one

}  // namespace

std::optional<dev_t> device_number(const MountInfo& mount) {
  const std::size_t colon = mount.device.find(':');
  if (colon == std::string::npos) return std::nullopt;
  unsigned major = 0;
  unsigned minor = 0;
  const char* const text = mount.device.data();
  const auto major_end = std::from_chars(text, text + colon, major);
  const auto minor_end = std::from_chars(text + colon + 1, text + mount.device.size(), minor);
  if (major_end.ec != std::errc() || minor_end.ec != std::errc()) return std::nullopt;
  return makedev(major, minor);
}

Result<Place> describe_place(int fd) {
  struct statx stx {};
  // No question to the file system, which may be the container's own FUSE.
  const auto ask = [&](unsigned mask) {
    return ::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, mask, &stx);
  };
  const bool is_hidden = ask(STATX_TYPE | STATX_MNT_ID) != 0 && errno == EACCES;
  // Such a FUSE refuses whoever wants to know anything of its node; the mount's part comes unasked.
  if (is_hidden ? ask(0) != 0 : (stx.stx_mask & STATX_TYPE) == 0) return last_error("statx");
  Place place;
  place.is_directory = S_ISDIR(stx.stx_mode);
  place.may_be_directory = is_hidden || place.is_directory;
  place.is_mount_root = (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  place.mount_id = static_cast<int>(stx.stx_mnt_id);
  place.device = makedev(stx.stx_dev_major, stx.stx_dev_minor);
  return place;
}

Result<Visitor> Visitor::start(const HostView& host) {
  Visitor visitor(host);
  TRY(sys::unshare(CLONE_FS));
  visitor.own_descriptors_ =
      TRY(sys::openat(host.proc.get(), "thread-self/fd", O_PATH | O_DIRECTORY));
  const CapabilityData capabilities = TRY(get_thread_capabilities());
  const auto whole = [](std::uint32_t low, std::uint32_t high) {
    return low | (std::uint64_t{high} << 32);
  };
  visitor.own_.effective_capabilities = whole(capabilities[0].effective, capabilities[1].effective);
  visitor.permitted_capabilities_ = whole(capabilities[0].permitted, capabilities[1].permitted);
  visitor.own_.filesystem_uid = static_cast<uid_t>(::setfsuid(kUnchanged));
  visitor.own_.filesystem_gid = static_cast<gid_t>(::setfsgid(kUnchanged));
  const int count = ::getgroups(0, nullptr);
  if (count < 0) return last_error("getgroups");
  visitor.own_.groups.resize(static_cast<std::size_t>(count));
  if (::getgroups(count, visitor.own_.groups.data()) != count) return last_error("getgroups");
  return visitor;
}

// The order: groups and foreign ids need capabilities, so these go last and come back first;
// one's own ids need none.
Result<void> Visitor::assume(const Credentials& credentials) {
  if (credentials.groups != own_.groups) TRY(set_thread_groups(credentials.groups));
  ::setfsgid(credentials.filesystem_gid);
  ::setfsuid(credentials.filesystem_uid);
  if (static_cast<uid_t>(::setfsuid(kUnchanged)) != credentials.filesystem_uid ||
      static_cast<gid_t>(::setfsgid(kUnchanged)) != credentials.filesystem_gid) {
    return errno_error(EPERM, "setfsuid");
  }
  return set_thread_capabilities(permitted_capabilities_, credentials.effective_capabilities);
}

void Visitor::resume(const Credentials& left) {
  ::setfsuid(own_.filesystem_uid);
  ::setfsgid(own_.filesystem_gid);
  if (!set_thread_capabilities(permitted_capabilities_, own_.effective_capabilities).ok() ||
      (left.groups != own_.groups && !set_thread_groups(own_.groups).ok()) ||
      static_cast<uid_t>(::setfsuid(kUnchanged)) != own_.filesystem_uid) {
    at_home_ = false;
  }
}

Result<Visit> Visit::begin(Visitor& visitor, const Caller& caller) {
  UniqueFd root = TRY(sys::openat(caller.directory.get(), "root", O_PATH | O_DIRECTORY));
  UniqueFd cwd = TRY(sys::openat(caller.directory.get(), "cwd", O_PATH | O_DIRECTORY));
  TRY(sys::setns(caller.mount_namespace.get(), CLONE_NEWNS));
  // Its end takes the thread home, also from the errors below.
  Visit visit(visitor, caller, std::move(root), std::move(cwd));
  const Result<void> entered = sys::fchdir(visit.root_.get());
  if (!entered.ok() && entered.error().code() == EACCES) {
    visit.root_is_closed_to_us_ = true;
    return visit;
  }
  TRY(entered);
  TRY(sys::chroot("."));
  return visit;
}

Visit::~Visit() {
  if (visitor_ == nullptr) return;
  // Root and working directory become those of the namespace again.
  if (!sys::setns(visitor_->host_->mount_namespace.get(), CLONE_NEWNS).ok()) {
    visitor_->at_home_ = false;
  }
  if (has_left_network_ &&
      !sys::setns(visitor_->host_->network_namespace.get(), CLONE_NEWNET).ok()) {
    visitor_->at_home_ = false;
  }
}

Visitor::Credentials Visit::caller_credentials(std::uint64_t effective_capabilities) const {
  Visitor::Credentials credentials;
  credentials.filesystem_uid = caller_->status.filesystem_uid;
  credentials.filesystem_gid = caller_->status.filesystem_gid;
  credentials.groups.assign(caller_->status.groups.begin(), caller_->status.groups.end());
  credentials.effective_capabilities = effective_capabilities;
  return credentials;
}

Result<UniqueFd> Visit::open_as_caller(const OpenRequest& request) const {
  if (!root_is_closed_to_us_) {
    const Visitor::Credentials credentials = caller_credentials(0);
    const Result<void> assumed = visitor_->assume(credentials);
    Result<UniqueFd> fd =
        assumed.ok() ? sys::openat2(request.dirfd, request.path, request.flags, request.resolve)
                     : Result<UniqueFd>(assumed.error());
    visitor_->resume(credentials);
    if (fd.ok() || fd.error().code() != EACCES) return fd;
  }
  return open_in_task_of(*caller_, root_is_closed_to_us_ ? root_.get() : -1, request);
}

// Programs name a place by "/proc/self/fd/7" or "/proc/thread-self/fd/7". That link leads to
// whoever follows it, so it is taken from the caller's own directory in the host's procfs.
Result<std::optional<UniqueFd>> Visit::open_descriptor_link(const std::string& path,
                                                            std::string& rest) const {
  constexpr std::string_view kSelf = "/proc/self/fd/";
  constexpr std::string_view kThreadSelf = "/proc/thread-self/fd/";
  const bool of_thread = path.starts_with(kThreadSelf);
  if (!of_thread && !path.starts_with(kSelf)) return std::optional<UniqueFd>();
  const UniqueFd proc = TRY(open_as_caller({AT_FDCWD, "/proc", O_PATH | O_DIRECTORY}));
  if (TRY(sys::fstatfs_type(proc.get())) != PROC_SUPER_MAGIC) return std::optional<UniqueFd>();

  const std::size_t start = (of_thread ? kThreadSelf : kSelf).size();
  const std::size_t end = std::min(path.find('/', start), path.size());
  const std::string number = path.substr(start, end - start);
  if (number.empty() || number.find_first_not_of("0123456789") != std::string::npos) {
    return errno_error(ENOENT, "open '", path, "'");
  }
  rest = path.substr(std::min(path.find_first_not_of('/', end), path.size()));
  const std::string name = "fd/" + number;
  if (of_thread) {
    return std::optional(TRY(sys::openat(caller_->directory.get(), name, O_PATH)));
  }
  const std::string leader = std::to_string(caller_->status.thread_group);
  return std::optional(TRY(sys::openat(visitor_->host_->proc.get(), leader + "/" + name, O_PATH)));
}

Result<UniqueFd> Visit::resolve(const std::string& path, Follow follow) const {
  std::string rest;
  std::optional<UniqueFd> start = TRY(open_descriptor_link(path, rest));
  if (!start) return resolve_at(working_directory_.get(), path, follow);
  if (!rest.empty()) return resolve_at(start->get(), rest, follow);
  if (follow == Follow::kNoLastSymlink) return errno_error(EINVAL, "open '", path, "'");
  return std::move(*start);
}

Result<UniqueFd> Visit::resolve_at(int dirfd, const std::string& path, Follow follow) const {
  const std::uint64_t flags = O_PATH | (follow == Follow::kNoLastSymlink ? O_NOFOLLOW : 0);
  return open_as_caller({dirfd, path, flags});
}

Result<UniqueFd> Visit::resolve_beneath(int dirfd, const std::string& path) const {
  return open_as_caller({dirfd, path, O_PATH | O_NOFOLLOW, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS});
}

Result<void> Visit::enter_network(int net_namespace_fd) {
  TRY(sys::setns(net_namespace_fd, CLONE_NEWNET));
  has_left_network_ = true;
  return {};
}

Result<void> Visit::make_node(int directory_fd, const std::string& name, const Node& node) const {
  const struct stat directory = TRY(sys::fstat(directory_fd));
  std::uint64_t capabilities = bit(CAP_MKNOD);
  const std::uint64_t override_modes = bit(CAP_DAC_OVERRIDE);
  // The kernel's rule (capable_wrt_inode_uidgid()): for directories whose owner the caller's user
  // namespace maps.
  if ((caller_->status.effective_capabilities & override_modes) != 0 &&
      TRY(caller_->knows_ids(directory.st_uid, directory.st_gid))) {
    capabilities |= override_modes;
  }
  const Visitor::Credentials credentials = caller_credentials(capabilities);
  const auto as_caller = [&](const auto& step) -> Result<void> {
    Result<void> done = visitor_->assume(credentials);
    if (done.ok()) done = step();
    visitor_->resume(credentials);
    return done;
  };
  TRY(as_caller([&] {
    ::umask(0);  // of this thread alone, which makes nothing else
    return sys::mknodat(directory_fd, name, node.mode, node.device);
  }));
  const Result<UniqueFd> made = sys::openat(directory_fd, name, O_PATH | O_NOFOLLOW);
  // Of the number that was asked for; opening others might do something.
  if (!made.ok() || TRY(sys::fstat(made.value().get())).st_rdev != node.device) return {};
  const Result<UniqueFd> opened =
      sys::openat(visitor_->own_descriptors_.get(), std::to_string(made.value().get()),
                  O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (opened.ok() || opened.error().code() != EACCES) return {};
  const Result<void> gone = as_caller([&] { return sys::unlinkat(directory_fd, name); });
  static_cast<void>(gone.ok());
  return errno_error(EPERM, "no devices on this file system");
}

Result<UniqueFd> Visit::glance_at(const std::string& path, Follow follow) const {
  if (root_is_closed_to_us_) return errno_error(EACCES, "open '", path, "'");
  const std::uint64_t flags = O_PATH | (follow == Follow::kNoLastSymlink ? O_NOFOLLOW : 0);
  return sys::openat2(working_directory_.get(), path, flags, RESOLVE_NO_MAGICLINKS);
}

Result<std::vector<MountInfo>> Visit::read_mounts() const {
  const std::string text =
      TRY(sys::read_file_at(visitor_->host_->proc.get(), "thread-self/mountinfo"));
  return parse_mount_info(text);
}

Result<EmulatedKind> Visit::emulated_kind_of(int fd) const {
  if (const std::optional<std::uint64_t> id = unique_mount_id(fd)) {
    const Result<StatmountAnswer> answer = stat_superblock(*id);
    if (answer.ok()) {
      if (answer.value().magic == PROC_SUPER_MAGIC) return EmulatedKind::kProc;
      return answer.value().magic == SYSFS_MAGIC ? EmulatedKind::kSysfs : EmulatedKind::kNone;
    }
  }
  const int mount_id = TRY(describe_place(fd)).mount_id;
  const std::vector<MountInfo> mounts = TRY(read_mounts());
  for (const MountInfo& mount : mounts) {
    if (mount.mount_id != mount_id) continue;
    if (mount.filesystem == "proc") return EmulatedKind::kProc;
    if (mount.filesystem == "sysfs") return EmulatedKind::kSysfs;
  }
  return EmulatedKind::kNone;
}

Result<bool> Visit::has_mounts_on(int fd) const {
  if (const std::optional<std::uint64_t> id = unique_mount_id(fd)) {
    Result<bool> any = has_any_mount(*id);
    if (any.ok()) return any;
  }
  return !TRY(devices_mounted_on(fd)).empty();
}

std::optional<MountCensus> Visit::count_mounts_on(int fd) const {
  const std::optional<std::uint64_t> id = unique_mount_id(fd);
  if (!id) return std::nullopt;
  const Result<std::vector<std::uint64_t>> below = listmount(*id);
  if (!below.ok()) return std::nullopt;
  return MountCensus{*id, below.value().size(), below.value().empty() ? 0 : below.value().back()};
}

Result<std::vector<dev_t>> Visit::devices_mounted_on(int fd) const {
  std::vector<dev_t> devices;
  if (const std::optional<std::uint64_t> id = unique_mount_id(fd)) {
    const Result<std::vector<std::uint64_t>> below = listmount(*id);
    if (below.ok()) {
      for (const std::uint64_t mount : below.value()) {
        const StatmountAnswer answer = TRY(stat_superblock(mount));
        devices.push_back(makedev(answer.device_major, answer.device_minor));
      }
      return devices;
    }
  }
  std::vector<int> parents{TRY(describe_place(fd)).mount_id};
  const std::vector<MountInfo> mounts = TRY(read_mounts());
  for (std::size_t i = 0; i < parents.size(); ++i) {
    for (const MountInfo& mount : mounts) {
      if (mount.parent_id != parents[i] || mount.mount_id == parents[i]) continue;
      parents.push_back(mount.mount_id);
      devices.push_back(device_number(mount).value_or(0));
    }
  }
  return devices;
}

Result<UniqueFd> Visit::open_directory(int place_fd) const {
  return open_as_caller({place_fd, ".", O_RDONLY | O_DIRECTORY});
}

namespace {
// The link is opened in the task, whose descriptors these are.
struct AgainStep {
  int proc_fd;
  const char* link;
};
long open_link(const void* arguments) {
  const auto& step = *static_cast<const AgainStep*>(arguments);
  return ::syscall(SYS_openat, step.proc_fd, step.link, O_RDONLY | O_NOCTTY | O_CLOEXEC);
}
}  // namespace

Result<UniqueFd> Visit::open_again(int place_fd) const {
  const mode_t type = TRY(sys::fstat(place_fd)).st_mode & S_IFMT;
  if (type == S_IFDIR) return open_directory(place_fd);
  if (type != S_IFREG) return errno_error(EPERM, "a file that might do something when opened");
  const int proc = visitor_->host_->proc.get();
  const std::string link = join("self/fd/", place_fd);
  const AgainStep step{proc, link.c_str()};
  return run_as_caller({&open_link, &step, {proc, place_fd}});
}

// Nobody tells but the kernel's umount(2): a locked mount is EINVAL, any other, as our descriptor
// uses it, is too busy to expire.
Result<bool> Visit::is_locked(int mount_fd) const {
  const Result<void> expired = unmount(mount_fd, MNT_EXPIRE);
  if (expired.ok()) return errno_error(EIO, "a mount in use has expired");
  if (expired.error().code() == EINVAL) return true;
  if (expired.error().code() == EBUSY) return false;
  return expired.error();
}

// A descriptor pins its mount, and /proc/self in a container is not ours: the thread's directory
// of descriptors, in the host's procfs, becomes the working directory.
Result<void> Visit::unmount(int mount_fd, int flags) const {
  TRY(sys::fchdir(visitor_->own_descriptors_.get()));
  return sys::umount(std::to_string(mount_fd), flags);
}

}  // namespace sysbox::seccomp

#include "seccomp-notify/tracee.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "common/syscalls.h"

namespace sysbox::seccomp {
namespace {

constexpr std::size_t kPageBytes = 4096;  // the smallest: a read never crosses into a bad page

struct NamespaceId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const NamespaceId&) const = default;
};

Result<NamespaceId> identify(int namespace_fd) {
  const struct stat st = TRY(sys::fstat(namespace_fd));
  return NamespaceId{st.st_dev, st.st_ino};
}

Result<UniqueFd> owner_of(int namespace_fd) {
  const int fd = ::ioctl(namespace_fd, NS_GET_USERNS);
  if (fd < 0) return last_error("owner of a namespace");
  return UniqueFd(fd);
}

Result<uid_t> creator_of(int user_namespace_fd) {
  uid_t uid = 0;
  if (::ioctl(user_namespace_fd, NS_GET_OWNER_UID, &uid) != 0) {
    return last_error("creator of a user namespace");
  }
  return uid;
}

// Linux 6.9; EINVAL before.
Result<UniqueFd> pidfd_of_thread(pid_t tid) {
  constexpr unsigned kPidfdThread = O_EXCL;  // PIDFD_THREAD
  const long fd = ::syscall(SYS_pidfd_open, tid, kPidfdThread);
  if (fd < 0) return last_error("pidfd of thread ", tid);
  return UniqueFd(static_cast<int>(fd));
}

// One line of a gid_map: "inside outside count".
using MapLine = std::array<std::uint32_t, 3>;
bool parse_map_line(std::string_view line, MapLine& numbers) {
  const char* at = line.data();
  const char* const end = at + line.size();
  for (std::uint32_t& number : numbers) {
    while (at < end && *at == ' ') ++at;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc()) return false;
    at = next;
  }
  return true;
}

// Read from the host's user namespace, the file shows the host's ids.
Result<std::vector<MapLine>> read_map(int process_directory, const char* name) {
  const std::string map = TRY(sys::read_file_at(process_directory, name));
  std::vector<MapLine> lines;
  std::string_view rest = map;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    MapLine line{};
    if (parse_map_line(rest.substr(0, end), line)) lines.push_back(line);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return lines;
}

const char* map_file(IdKind kind) { return kind == IdKind::kUser ? "uid_map" : "gid_map"; }

// Linux 6.11; newer than Debian 12's headers.
struct MapQuery {
  std::uint64_t size = sizeof(MapQuery);
  std::uint64_t flags = 2;  // PROCMAP_QUERY_VMA_WRITABLE
  std::uint64_t address = 0;
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::array<std::uint64_t, 8> not_asked_for{};
};
static_assert(sizeof(MapQuery) == 104);
constexpr unsigned long kQueryMap = _IOWR('f', 17, MapQuery);

// One line of /proc/PID/maps: "START-END rw-p ...".
struct Mapping {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  bool is_writable = false;
};
Mapping parse_mapping(std::string_view line) {
  Mapping mapping;
  const char* const last = line.data() + line.size();
  const auto [dash, error] = std::from_chars(line.data(), last, mapping.start, 16);
  if (error != std::errc() || dash == last) return {};
  const char* const rights = std::from_chars(dash + 1, last, mapping.end, 16).ptr;
  mapping.is_writable = last - rights > 2 && rights[2] == 'w';
  return mapping;
}

// The end of the writable mapping that lies at an address; 0 if there is none.
Result<std::uint64_t> end_of_writable(int maps_fd, std::uint64_t address) {
  MapQuery query;
  query.address = address;
  if (::ioctl(maps_fd, kQueryMap, &query) == 0) return query.end;
  if (errno == ENOENT) return std::uint64_t{0};
  if (::lseek(maps_fd, 0, SEEK_SET) != 0) return last_error("seek in a process's maps");
  const std::string text = TRY(sys::read_all(maps_fd));
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const Mapping mapping = parse_mapping(line);
    if (address < mapping.start || address >= mapping.end) continue;
    return mapping.is_writable ? mapping.end : std::uint64_t{0};
  }
  return std::uint64_t{0};
}

Result<bool> is_writable(int maps_fd, std::uint64_t address, std::size_t size) {
  for (std::uint64_t at = address; at < address + size;) {
    at = TRY(end_of_writable(maps_fd, at));
    if (at == 0) return false;
  }
  return address + size > address;
}

}  // namespace

Result<HostView> HostView::open() {
  HostView host;
  host.proc = TRY(sys::open("/proc", O_PATH | O_DIRECTORY));
  host.mount_namespace = TRY(sys::openat(host.proc.get(), "thread-self/ns/mnt", O_RDONLY));
  host.user_namespace = TRY(sys::openat(host.proc.get(), "thread-self/ns/user", O_RDONLY));
  host.network_namespace = TRY(sys::openat(host.proc.get(), "thread-self/ns/net", O_RDONLY));
  return host;
}

Result<void> Caller::learn_credentials() {
  const std::string text = TRY(sys::read_file_at(directory.get(), "status"));
  status = TRY(parse_process_status(text));
  user_namespace = TRY(open_namespace("user"));
  mount_owner = TRY(owner_of(mount_namespace.get()));
  return {};
}

Result<UniqueFd> Caller::open_namespace(const std::string& name) const {
  return sys::openat(directory.get(), "ns/" + name, O_RDONLY);
}

Result<std::uint32_t> Caller::id_on_host(IdKind kind, std::uint32_t id_in_namespace) const {
  const std::vector<MapLine> lines = TRY(read_map(directory.get(), map_file(kind)));
  for (const auto& [inside, outside, count] : lines) {
    if (id_in_namespace >= inside && id_in_namespace - inside < count) {
      return outside + (id_in_namespace - inside);
    }
  }
  return errno_error(EINVAL, "id ", id_in_namespace, " is not mapped");
}

Result<std::uint32_t> Caller::id_in_namespace(IdKind kind, std::uint32_t id_on_host) const {
  const std::vector<MapLine> lines = TRY(read_map(directory.get(), map_file(kind)));
  for (const auto& [inside, outside, count] : lines) {
    if (id_on_host >= outside && id_on_host - outside < count) {
      return inside + (id_on_host - outside);
    }
  }
  return errno_error(EINVAL, "id ", id_on_host, " of the host is not mapped");
}

Result<bool> Caller::knows_ids(uid_t host_uid, gid_t host_gid) const {
  const auto knows = [this](IdKind kind, std::uint32_t id) -> Result<bool> {
    const Result<std::uint32_t> inside = id_in_namespace(kind, id);
    if (!inside.ok() && inside.error().code() != EINVAL) return inside.error();
    return inside.ok();
  };
  if (!TRY(knows(IdKind::kUser, host_uid))) return false;
  return knows(IdKind::kGroup, host_gid);
}

Result<UniqueFd> parent_of(int user_namespace_fd) {
  const int fd = ::ioctl(user_namespace_fd, NS_GET_PARENT);
  if (fd < 0) return last_error("parent of a user namespace");
  return UniqueFd(fd);
}

Result<bool> has_capability_in(const Caller& caller, int user_namespace_fd, int capability) {
  const NamespaceId own = TRY(identify(caller.user_namespace.get()));
  const bool has_it = ((caller.status.effective_capabilities >> capability) & 1U) != 0;
  UniqueFd parent;
  for (int at = user_namespace_fd;;) {
    const NamespaceId current = TRY(identify(at));
    if (current == own) return has_it;
    Result<UniqueFd> next = parent_of(at);
    if (!next.ok()) return false;  // the caller's own is no ancestor
    const NamespaceId next_id = TRY(identify(next.value().get()));
    if (next_id == own && TRY(creator_of(at)) == caller.status.effective_uid) return true;
    parent = std::move(next).value();
    at = parent.get();
  }
}

Result<bool> has_capability_over(const Caller& caller, int namespace_fd, int capability) {
  const UniqueFd owner = TRY(owner_of(namespace_fd));
  return has_capability_in(caller, owner.get(), capability);
}

Result<bool> is_child_of(int user_namespace_fd, int parent_fd) {
  const Result<UniqueFd> found = parent_of(user_namespace_fd);
  if (!found.ok()) return false;
  const NamespaceId id = TRY(identify(found.value().get()));
  return id == TRY(identify(parent_fd));
}

Result<ino_t> container_user_namespace(const Caller& caller) {
  UniqueFd ancestor;
  int at = caller.user_namespace.get();
  for (ino_t inode = 0;;) {
    Result<UniqueFd> parent = parent_of(at);
    if (!parent.ok()) return inode;  // of our own one we may not ask
    inode = TRY(identify(at)).inode;
    ancestor = std::move(parent).value();
    at = ancestor.get();
  }
}

Result<std::string> Tracee::read_string(std::uint64_t address, std::size_t limit) const {
  std::string text;
  std::array<char, kPageBytes> page{};
  while (text.size() < limit) {
    const std::uint64_t at = address + text.size();
    const std::size_t wanted =
        std::min<std::size_t>(kPageBytes - at % kPageBytes, limit - text.size());
    const struct iovec local { page.data(), wanted };
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of another process
    const struct iovec remote { reinterpret_cast<void*>(at), wanted };
    const ssize_t n = ::process_vm_readv(call_.tid_on_host, &local, 1, &remote, 1, 0);
    if (n <= 0) return errno_error(EFAULT, "read the caller's memory");
    const std::string_view read(page.data(), static_cast<std::size_t>(n));
    const std::size_t end = read.find('\0');
    text += read.substr(0, end);
    if (end != std::string_view::npos) {
      if (!still_waiting()) return errno_error(ESRCH, "read the caller's memory");
      return text;
    }
  }
  return errno_error(ENAMETOOLONG, "read the caller's memory");
}

Result<void> Tracee::write(std::uint64_t address, std::string_view bytes) const {
  // process_vm_writev(2) goes by a pid, which may be another's between the check and the write.
  // Descriptors stay the caller's, but by this one even what may only be read can be written.
  const std::string directory = std::to_string(call_.tid_on_host);
  const UniqueFd memory = TRY(sys::openat(host_.proc.get(), directory + "/mem", O_WRONLY));
  const UniqueFd maps = TRY(sys::openat(host_.proc.get(), directory + "/maps", O_RDONLY));
  if (!still_waiting()) return errno_error(ESRCH, "write the caller's memory");
  if (!TRY(is_writable(maps.get(), address, bytes.size()))) {
    return errno_error(EFAULT, "write the caller's memory");
  }
  const ssize_t n = ::pwrite(memory.get(), bytes.data(), bytes.size(), static_cast<off_t>(address));
  if (n != static_cast<ssize_t>(bytes.size())) {
    return errno_error(EFAULT, "write the caller's memory");
  }
  return {};
}

Result<std::string> Tracee::read_bytes(std::uint64_t address, std::size_t count) const {
  std::string bytes(count, '\0');
  const struct iovec local { bytes.data(), count };
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of another process
  const struct iovec remote { reinterpret_cast<void*>(address), count };
  if (::process_vm_readv(call_.tid_on_host, &local, 1, &remote, 1, 0) !=
      static_cast<ssize_t>(count)) {
    return errno_error(EFAULT, "read the caller's memory");
  }
  if (!still_waiting()) return errno_error(ESRCH, "read the caller's memory");
  return bytes;
}

Result<UniqueFd> Tracee::copy_descriptor(int fd) const {
  Result<UniqueFd> pidfd = pidfd_of_thread(call_.tid_on_host);
  if (!pidfd.ok() && pidfd.error().code() == EINVAL) {
    const std::string text =
        TRY(sys::read_file_at(host_.proc.get(), std::to_string(call_.tid_on_host) + "/status"));
    const pid_t leader = TRY(parse_process_status(text)).thread_group;
    pidfd = sys::pidfd_open(leader);
    // It has the same descriptors but in programs that take pains (unshare(CLONE_FILES)).
    if (leader != call_.tid_on_host &&
        ::syscall(SYS_kcmp, leader, call_.tid_on_host, KCMP_FILES, 0, 0) != 0) {
      return errno_error(EBADF, "descriptors of a thread of its own");
    }
  }
  const UniqueFd process = TRY(std::move(pidfd));
  if (!still_waiting()) return errno_error(ESRCH, "the caller is gone");
  return sys::pidfd_getfd(process.get(), fd);
}

Result<Caller> Tracee::open_caller() const {
  Caller caller;
  caller.directory =
      TRY(sys::openat(host_.proc.get(), std::to_string(call_.tid_on_host), O_PATH | O_DIRECTORY));
  // From here on the directory is the caller's for certain, whatever becomes of its pid.
  if (!still_waiting()) return errno_error(ESRCH, "the caller is gone");
  caller.mount_namespace = TRY(caller.open_namespace("mnt"));
  return caller;
}

}  // namespace sysbox::seccomp

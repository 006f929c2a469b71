#include "runc-ext/container/state_dir.h"

#include <sys/file.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

#include "common/directory_entries.h"
#include "common/root_dir.h"
#include "common/state_file.h"
#include "runc-ext/container/record_json.h"

namespace sysbox::runc {
namespace {

constexpr const char* kStateFile = "state.json";
constexpr const char* kExecFifo = "exec.fifo";

// What runc allows; a file name by itself, so that no id leads out of the root directory.
bool is_valid_id(std::string_view id) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '+' || c == '-' || c == '.';
  };
  return !id.empty() && id != "." && id != ".." && id.size() <= NAME_MAX &&
         std::all_of(id.begin(), id.end(), allowed);
}

Result<void> check_id(const std::string& id) {
  if (id.empty()) return Error(EINVAL, "container id cannot be empty");
  if (is_valid_id(id)) return {};
  return Error(EINVAL, join("invalid container ID format: '", id,
                            "': letters, digits and _ + - . only, at most ", NAME_MAX));
}

Error no_such_container(const std::string& id) {
  return {ENOENT, join("container '", id, "' does not exist")};
}

Result<void> make_directories(const std::string& path) {
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      return last_error("mkdir '", part, "'");
    }
    if (slash == std::string::npos) return {};
  }
}

// All that is ours in the directory: files, and directories of files (that of the notify socket).
Result<void> remove_content(int directory_fd) {
  return for_each_entry(directory_fd, [&](const struct dirent& entry) -> Result<void> {
    Result<void> removed = sys::unlinkat(directory_fd, entry.d_name);
    if (!removed.ok() && removed.error().code() == EISDIR) {
      const UniqueFd inner = TRY(open_directory(directory_fd, entry.d_name));
      TRY(for_each_entry(inner.get(), [&](const struct dirent& file) {
        return sys::unlinkat(inner.get(), file.d_name);
      }));
      removed = sys::unlinkat(directory_fd, entry.d_name, AT_REMOVEDIR);
    }
    if (!removed.ok() && removed.error().code() == ENOENT) return {};
    return removed;
  });
}

// The pid that holds the flock of this file, or 0: /proc/locks has lines such as
// "1: FLOCK  ADVISORY  WRITE 1234 00:1b:5678 0 EOF" (proc_locks(5)).
pid_t lock_holder(int fd) {
  const Result<struct stat> file = sys::fstat(fd);
  const Result<std::string> locks = sys::read_file("/proc/locks");
  if (!file.ok() || !locks.ok()) return 0;
  std::string_view rest = locks.value();
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string line(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    int pid = 0;
    unsigned major_number = 0;
    unsigned minor_number = 0;
    unsigned long inode = 0;
    if (std::sscanf(line.c_str(), "%*d: FLOCK ADVISORY WRITE %d %x:%x:%lu", &pid, &major_number,
                    &minor_number, &inode) == 4 &&
        inode == file.value().st_ino && major_number == major(file.value().st_dev) &&
        minor_number == minor(file.value().st_dev)) {
      return pid;
    }
  }
  return 0;
}

// Longer and longer, so that a short wait ends soon and a long one costs little.
void pause_between_tries(unsigned try_number) {
  ::usleep(std::min(1000U << std::min(try_number, 5U), 20000U));
}

}  // namespace

const char* status_name(ContainerStatus status) {
  switch (status) {
    case ContainerStatus::kCreating:
      return "creating";
    case ContainerStatus::kCreated:
      return "created";
    case ContainerStatus::kRunning:
      return "running";
    case ContainerStatus::kPaused:
      return "paused";
    case ContainerStatus::kStopped:
      break;
  }
  return "stopped";
}

Result<StateDir> StateDir::create(const std::string& root, const std::string& id) {
  TRY(check_id(id));
  TRY(make_directories(root));
  const UniqueFd parent = TRY(sys::open(root, O_PATH | O_DIRECTORY));
  Result<void> made = sys::mkdirat(parent.get(), id, 0700);
  if (!made.ok() && made.error().code() == EEXIST) {
    return Error(EEXIST, join("container with id '", id, "' already exists"));
  }
  TRY(std::move(made));
  UniqueFd directory = TRY(open_directory(parent.get(), id));
  return StateDir(root, id, std::move(directory));
}

Result<StateDir> StateDir::open(const std::string& root, const std::string& id) {
  TRY(check_id(id));
  const std::string path = join(root, "/", id);
  Result<UniqueFd> directory = sys::open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory.ok() && directory.error().code() == ENOENT) return no_such_container(id);
  return StateDir(root, id, TRY(std::move(directory)));
}

Result<std::vector<std::string>> StateDir::list(const std::string& root) {
  const Result<UniqueFd> directory = sys::open(root, O_RDONLY | O_DIRECTORY);
  if (!directory.ok() && directory.error().code() == ENOENT) return std::vector<std::string>{};
  if (!directory.ok()) return directory.error();
  std::vector<std::string> ids;
  const auto note_container = [&](const struct dirent& entry) -> Result<void> {
    const Result<struct stat> info =
        sys::fstatat(directory.value().get(), entry.d_name, AT_SYMLINK_NOFOLLOW);
    // One that is gone meanwhile is no container any more.
    if (is_valid_id(entry.d_name) && info.ok() && S_ISDIR(info.value().st_mode)) {
      ids.emplace_back(entry.d_name);
    }
    return {};
  };
  TRY(for_each_entry(directory.value().get(), note_container).in(root));
  std::sort(ids.begin(), ids.end());
  return ids;
}

Result<UniqueFd> StateDir::lock(Deadline deadline) const {
  // A description of its own: flock(2) belongs to it, not to the process.
  UniqueFd own = TRY(sys::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY));
  for (unsigned try_number = 0; ::flock(own.get(), LOCK_EX | LOCK_NB) != 0; ++try_number) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return last_error("lock container '", id_, "'");
    }
    if (milliseconds_until(deadline) == 0) {
      const pid_t holder = lock_holder(own.get());
      return Error(ETIMEDOUT, join("container '", id_, "' is locked by another sysbox-runc command",
                                   holder > 0 ? join(" (pid ", holder, ")") : ""));
    }
    pause_between_tries(try_number);
  }
  // Whoever held the lock may have deleted the container.
  if (TRY(sys::fstat(own.get())).st_nlink == 0) return no_such_container(id_);
  return own;
}

Result<ContainerRecord> StateDir::load() const {
  const std::string path = join(root_, "/", id_, "/", kStateFile);
  const Result<std::string> text = sys::read_file_at(directory_.get(), kStateFile);
  if (!text.ok() && text.error().code() == ENOENT) {
    if (TRY(sys::fstat(directory_.get())).st_nlink == 0) return no_such_container(id_);
    return Error(EBADMSG, join("container '", id_, "' does not exist: it has no ", path,
                               ", its creation was not completed; `sysbox-runc delete --force ",
                               id_, "` clears it"));
  }
  if (!text.ok()) return text.error();
  Result<ContainerRecord> record = parse_record(text.value());
  if (record.ok() || record.error().code() == ENOTSUP) {
    return std::move(record).in(path);
  }
  return Error(EBADMSG, join(path, " is damaged (", record.error().message(),
                             "); `sysbox-runc delete --force ", id_, "` removes the container"));
}

Result<void> StateDir::save(const ContainerRecord& record) const {
  return replace_file(directory_.get(), kStateFile, record_text(record), Durability::kProcessCrash)
      .in(join("save the state of container '", id_, "'"));
}

// Writable for all: the process opens it as the user that it will run as. Who may get that far is
// decided by the directory, which is root's alone.
Result<void> StateDir::make_exec_fifo(uid_t host_uid, gid_t host_gid) const {
  const mode_t old_umask = ::umask(0);
  Result<void> made = sys::mknodat(directory_.get(), kExecFifo, S_IFIFO | 0622, 0);
  ::umask(old_umask);
  TRY(std::move(made));
  return sys::fchownat(directory_.get(), kExecFifo, host_uid, host_gid, AT_SYMLINK_NOFOLLOW);
}

Result<UniqueFd> StateDir::open_exec_fifo(int flags) const {
  return sys::openat(directory_.get(), kExecFifo, flags | O_NOFOLLOW);
}

Result<bool> StateDir::has_exec_fifo() const {
  const Result<struct stat> fifo = sys::fstatat(directory_.get(), kExecFifo, AT_SYMLINK_NOFOLLOW);
  if (fifo.ok()) return true;
  if (fifo.error().code() == ENOENT) return false;
  return fifo.error();
}

Result<void> StateDir::remove_exec_fifo() const {
  const Result<void> removed = sys::unlinkat(directory_.get(), kExecFifo);
  if (!removed.ok() && removed.error().code() != ENOENT) return removed.error();
  return {};
}

Result<void> StateDir::remove() const {
  TRY(remove_content(directory_.get()));
  const UniqueFd parent = TRY(sys::open(root_, O_PATH | O_DIRECTORY));
  const Result<void> removed = sys::unlinkat(parent.get(), id_, AT_REMOVEDIR);
  if (!removed.ok() && removed.error().code() != ENOENT) return removed.error();
  return {};
}

}  // namespace sysbox::runc

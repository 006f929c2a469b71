#include "fs-emulator/file_tree.h"

#include <fcntl.h>

#include <utility>

#include "fs-emulator/container_record.h"
#include "fs-emulator/emulated_file.h"

namespace sysbox::fs {
namespace {

constexpr double kForever = 365.0 * 24 * 3600;
constexpr mode_t kRead = 4;
constexpr mode_t kWrite = 2;
constexpr std::uint64_t kSysfsFileSize = 4096;  // what sysfs says of every attribute

// The settings of a container have one size for all who ask, until they are written. One of a pair
// changes when the other is.
bool has_lasting_size(const Node& node) {
  return node.kind == NodeKind::kSysctl && sysctls()[node.table_row].zeroes.empty();
}

bool is_setting(const Node& node) { return node.path.starts_with("/proc/sys/"); }

bool takes_triggers(const Node& node) {
  return node.kind == NodeKind::kLive &&
         emulated_files()[node.table_row].open_for_triggers != nullptr;
}

UtsName uts_name_of(const Node& node) {
  return node.path.ends_with("/hostname") ? UtsName::kHost : UtsName::kDomain;
}

Result<std::string> read_live(const Node& node, const ContainerView& view) {
  if (node.kind == NodeKind::kLive) return emulated_files()[node.table_row].read(view);
  const MachineEntry& entry = node.machine_entry();
  if (entry.read == nullptr) return errno_error(EISDIR, entry.below);
  return entry.read(entry, node.number, view);
}

// Before the first reader sees it: no later daemon may tell less.
void keep_history(ContainerState& state) {
  {
    const std::lock_guard lock(state.history.mutex);
    if (!state.history.has_changed()) return;
  }
  state.keeper.keep(KeptState::Part::kHistory, [&state] {
    const std::lock_guard lock(state.history.mutex);
    return state.history.save();
  });
}

}  // namespace

void FileTree::assign(std::shared_ptr<ContainerState> container) {
  const std::lock_guard lock(mutex_);
  container_ = std::move(container);
}

std::shared_ptr<ContainerState> FileTree::container() const {
  const std::lock_guard lock(mutex_);
  return container_;
}

Result<const Node*> FileTree::file_of(fuse_ino_t inode) const {
  const Node* node = NodeList::instance().find(inode);
  if (node == nullptr) return errno_error(ENOENT, "inode ", inode);
  return node;
}

Result<NodeAttributes> FileTree::attributes(fuse_ino_t inode, int pid) {
  NodeAttributes out;
  out.stat.st_ino = inode;
  if (inode == FUSE_ROOT_ID) {
    out.stat.st_mode = S_IFDIR | 0755;
    out.stat.st_nlink = 2;
    out.valid_seconds = kForever;
    return out;
  }
  const Node& node = *TRY(file_of(inode));
  out.stat.st_mode = node.mode;
  // 1: how many directories are in it is not said.
  out.stat.st_nlink = node.kind == NodeKind::kEmptyDirectory ? 2 : 1;
  const std::shared_ptr<ContainerState> state = container();
  if (!state) return out;  // a spare: owner and size are not known, the kernel has to ask again
  if (node.kind != NodeKind::kHostFile) {
    out.stat.st_uid = state->owner_uid;
    out.stat.st_gid = state->owner_gid;
  }
  out.stat.st_atim.tv_sec = out.stat.st_mtim.tv_sec = out.stat.st_ctim.tv_sec =
      static_cast<time_t>(state->made_wall_ns / kNsPerSecond);
  if (!S_ISREG(node.mode)) {
    out.valid_seconds = kForever;
    return out;
  }
  if (node.kind == NodeKind::kMachineEntry || has_lasting_size(node)) out.valid_seconds = kForever;
  if (node.kind == NodeKind::kMachineEntry || node.path.starts_with("/sys/")) {
    out.stat.st_size = kSysfsFileSize;
    return out;
  }
  // The true size: sendfile(2) and tail(1) go by it, unlike on procfs, where a size of 0 is known
  // to mean nothing.
  const Result<SharedText> text = text_for(node, inode, pid);
  if (text.ok()) out.stat.st_size = static_cast<off_t>(text.value()->size());
  return out;
}

Result<bool> FileTree::is_there(fuse_ino_t inode, int pid) {
  const Node& node = *TRY(file_of(inode));
  if (!depends_on_requester(inode)) return true;
  const std::shared_ptr<ContainerState> state = container();
  if (!state) return errno_error(ESTALE, node.name);
  const ContainerView view = state->view_of(pid);
  if (node.kind == NodeKind::kMachinePlace) return has_place(node.place, node.number, view);
  return has_entry(node.machine_entry(), node.number, view);
}

bool FileTree::depends_on_requester(fuse_ino_t inode) {
  const Node* node = NodeList::instance().find(inode);
  if (node == nullptr) return false;
  if (node->kind == NodeKind::kMachinePlace) return true;
  return node->kind == NodeKind::kMachineEntry && S_ISLNK(node->mode);
}

Result<std::string> FileTree::link_target(fuse_ino_t inode, int pid) {
  const Node& node = *TRY(file_of(inode));
  if (!S_ISLNK(node.mode)) return errno_error(EINVAL, node.name);
  return *TRY(text_for(node, inode, pid));
}

Result<SharedText> FileTree::text_for(const Node& node, fuse_ino_t inode, int pid) {
  const std::shared_ptr<ContainerState> state = container();
  if (!state) return errno_error(ESTALE, node.path);
  if (node.kind == NodeKind::kLive || node.kind == NodeKind::kMachineEntry) {
    return live_text(*state, node, inode, pid);
  }
  std::string text;
  if (node.kind == NodeKind::kSysctl) text = state->sysctls.value(node.table_row);
  if (node.kind == NodeKind::kUtsName) {
    text = TRY(read_uts_name(state->host.proc, uts_name_of(node), pid));
  }
  if (node.kind == NodeKind::kHostFile) {
    const std::string_view directory = emulated_directories()[node.table_row].path;
    constexpr std::size_t kAfterProc = std::string_view("/proc/").size();
    text = TRY(state->host.proc.read_file(join(directory.substr(kAfterProc), "/", node.name)));
  }
  return SharedText(std::make_shared<const std::string>(std::move(text)));
}

Result<SharedText> FileTree::live_text(ContainerState& state, const Node& node, fuse_ino_t inode,
                                       int pid) {
  const std::uint64_t now_ns = read_clock().boot_ns;
  SharedText recent = recent_.of_process(inode, pid, now_ns);
  if (recent) return recent;
  const ContainerView view = state.view_of(pid);
  // A process that cannot be looked at is not known by its pid: it may be another one by now.
  const std::optional<CgroupMembership>& cgroups = view.membership();
  if (cgroups) recent = recent_.of_cgroup(inode, *cgroups, pid, now_ns);
  if (recent) return recent;
  auto text = std::make_shared<const std::string>(TRY(read_live(node, view)));
  keep_history(state);
  if (!cgroups) return SharedText(std::move(text));
  return recent_.add(inode, *cgroups, pid, now_ns, std::move(text));
}

// The kernel goes by the user who reads or writes, not by who has opened the file, and no
// capability helps (test_perm in fs/proc/proc_sysctl.c): a descriptor handed down to an ordinary
// user is of no use. FUSE itself looks when a file is opened only, and there at capabilities, too.
Result<void> FileTree::check_access(const Node& node, mode_t wanted, const Caller& caller) const {
  const std::shared_ptr<ContainerState> state = container();
  if (!state) return errno_error(ESTALE, node.path);
  if (!is_setting(node)) return {};
  mode_t mode = node.mode;
  // The host's root comes by nsenter(1).
  if (caller.uid == state->owner_uid || caller.uid == 0) {
    mode >>= 6U;
  } else if (caller.gid == state->owner_gid) {
    mode >>= 3U;
  }
  if ((wanted & ~mode) != 0) return errno_error(EPERM, node.path);
  return {};
}

Result<std::uint64_t> FileTree::open(fuse_ino_t inode, int flags, const Caller& caller) {
  const Node& node = *TRY(file_of(inode));
  if ((flags & O_DIRECT) != 0) return errno_error(EINVAL, node.path);
  const int way = flags & O_ACCMODE;
  const mode_t wanted = (way != O_WRONLY ? kRead : 0U) | (way != O_RDONLY ? kWrite : 0U);
  const Result<void> allowed = check_access(node, wanted, caller);
  if (!allowed.ok() && allowed.error().code() == EPERM) return errno_error(EACCES, node.path);
  TRY(allowed);
  SharedText text = TRY(text_for(node, inode, caller.pid));
  const std::uint64_t handle = TRY(open_files_.add(std::move(text)));
  if (node.kind == NodeKind::kUtsName) name_polls_.opened(handle, uts_name_of(node));
  return handle;
}

Result<std::string> FileTree::read(fuse_ino_t inode, std::uint64_t handle, std::size_t size,
                                   std::uint64_t offset, const Caller& caller) {
  const Node& node = *TRY(file_of(inode));
  TRY(check_access(node, kRead, caller));
  std::optional<std::string> bytes = open_files_.read(handle, size, offset);
  if (bytes) return *std::move(bytes);
  return open_files_.replace(handle, TRY(text_for(node, inode, caller.pid)), size, offset);
}

void FileTree::release(std::uint64_t handle) {
  triggers_.release(handle);
  name_polls_.release(handle);
  open_files_.release(handle);
}

// The kernel lets an ordinary user have triggers with long windows; here they are root's.
Result<void> FileTree::set_trigger(const Node& node, std::uint64_t handle, std::string_view text,
                                   const Caller& caller) {
  const std::shared_ptr<ContainerState> state = container();
  if (!state) return errno_error(ESTALE, node.path);
  if (caller.uid != state->owner_uid && caller.uid != 0) return errno_error(EPERM, node.path);
  const EmulatedFile& file = emulated_files()[node.table_row];
  return triggers_.set(handle, TRY(file.open_for_triggers(state->view_of(caller.pid))), text);
}

unsigned FileTree::poll(fuse_ino_t inode, std::uint64_t handle, PollWaiter waiter) {
  const Node* node = NodeList::instance().find(inode);
  if (node == nullptr) return kAlwaysReady;
  if (takes_triggers(*node)) return triggers_.poll(handle, std::move(waiter));
  if (node->kind == NodeKind::kUtsName) {
    return name_polls_.poll(handle, uts_name_of(*node), std::move(waiter));
  }
  return kAlwaysReady;
}

void FileTree::end_polls() {
  triggers_.release_all();
  name_polls_.release_all();
}

Result<void> FileTree::write(fuse_ino_t inode, std::uint64_t handle, std::string_view bytes,
                             std::uint64_t offset, bool is_append, const Caller& caller) {
  const Node& node = *TRY(file_of(inode));
  const std::shared_ptr<ContainerState> state = container();
  if (!state) return errno_error(ESTALE, node.path);
  TRY(check_access(node, kWrite, caller));
  if (takes_triggers(node)) return set_trigger(node, handle, bytes, caller);
  if (node.kind != NodeKind::kSysctl && node.kind != NodeKind::kUtsName) {
    return errno_error(EIO, node.path);  // as procfs for a file without a writer
  }
  // procfs knows no appending: the file's position is what counts, and that is 0 after open.
  // Elsewhere a write is taken and has no effect (kernel.sysctl_writes_strict = 1).
  if (offset != 0 && !is_append) return {};
  if (node.kind == NodeKind::kUtsName) {
    TRY(write_uts_name(state->host.proc, uts_name_of(node), caller.pid,
                       state->user_namespace.load(), bytes));
  } else {
    TRY(state->sysctls.write(node.table_row, bytes));
    state->keeper.keep(KeptState::Part::kSettings,
                       [&state] { return settings_text(state->sysctls.save()); });
  }
  forget_attributes(inode);
  open_files_.mark_stale(handle);
  return {};
}

}  // namespace sysbox::fs

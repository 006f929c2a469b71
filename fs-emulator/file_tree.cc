#include "fs-emulator/file_tree.h"

#include "fs-emulator/container_record.h"
#include "fs-emulator/emulated_file.h"

namespace sysbox::fs {
namespace {

constexpr double kForever = 365.0 * 24 * 3600;
constexpr std::uint64_t kSysfsFileSize = 4096;  // what sysfs says of every attribute
// What the open files of one container may hold here; the kernel's own seq_files would be
// charged to the container, ours are not.
constexpr std::size_t kMaxOpenBytes = 4U << 20U;
constexpr std::size_t kOpenFileOverhead = 128;

std::string slice(const std::string& text, std::size_t size, std::uint64_t offset) {
  return offset >= text.size() ? std::string() : text.substr(offset, size);
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
  out.stat.st_nlink = S_ISDIR(node.mode) ? 2 : 1;
  const std::shared_ptr<ContainerState> state = container();
  if (!state) return out;  // a spare: owner and size are not known, the kernel has to ask again
  out.stat.st_uid = state->owner_uid;
  out.stat.st_gid = state->owner_gid;
  if (node.kind == NodeKind::kEmptyFile || node.kind == NodeKind::kEmptyDirectory) {
    out.valid_seconds = kForever;
    return out;
  }
  if (node.path.starts_with("/sys/")) {
    out.stat.st_size = kSysfsFileSize;
    return out;
  }
  // The true size, asked for at each open: sendfile(2) and tail(1) go by it, unlike on procfs,
  // where a size of 0 is known to mean nothing.
  const Result<std::string> text = make_text(node, pid);
  if (text.ok()) out.stat.st_size = static_cast<off_t>(text.value().size());
  return out;
}

Result<std::string> FileTree::make_text(const Node& node, int pid) const {
  const std::shared_ptr<ContainerState> state = container();
  if (!state) return errno_error(ESTALE, node.path);
  if (node.kind == NodeKind::kSysctl) return state->sysctls.value(node.table_row);
  if (node.kind != NodeKind::kLive) return std::string();
  return emulated_files()[node.table_row].read(state->view_of(pid));
}

Result<std::uint64_t> FileTree::open(fuse_ino_t inode, int pid) {
  const Node& node = *TRY(file_of(inode));
  std::string text = TRY(make_text(node, pid));
  const std::lock_guard lock(mutex_);
  const std::size_t bytes = text.size() + kOpenFileOverhead;
  if (open_bytes_ + bytes > kMaxOpenBytes) return errno_error(ENOMEM, "open emulated file");
  open_bytes_ += bytes;
  const std::uint64_t handle = next_handle_++;
  open_files_[handle] = {std::move(text), false};
  return handle;
}

void FileTree::release(std::uint64_t handle) {
  const std::lock_guard lock(mutex_);
  const auto found = open_files_.find(handle);
  if (found == open_files_.end()) return;
  open_bytes_ -= found->second.text.size() + kOpenFileOverhead;
  open_files_.erase(found);
}

Result<std::string> FileTree::read(fuse_ino_t inode, std::uint64_t handle, std::size_t size,
                                   std::uint64_t offset, int pid) {
  const Node& node = *TRY(file_of(inode));
  bool wants_new_text = false;
  {
    const std::lock_guard lock(mutex_);
    // A file that was opened before this daemon was started has no text as yet.
    const auto [found, is_inherited] = open_files_.try_emplace(handle);
    if (is_inherited) open_bytes_ += kOpenFileOverhead;
    // Monitoring programs keep the file open and read it from the start again and again.
    wants_new_text = is_inherited || (offset == 0 && found->second.is_stale);
  }
  std::string text;
  if (wants_new_text) text = TRY(make_text(node, pid));

  const std::lock_guard lock(mutex_);
  const auto found = open_files_.find(handle);
  if (found == open_files_.end()) return errno_error(EBADF, "emulated file");
  OpenFile& file = found->second;
  if (wants_new_text) {
    open_bytes_ += text.size();
    open_bytes_ -= file.text.size();
    file.text = std::move(text);
  }
  file.is_stale = true;
  return slice(file.text, size, offset);
}

Result<void> FileTree::write(fuse_ino_t inode, std::uint64_t handle, std::string_view bytes,
                             std::uint64_t offset, bool is_append) {
  const Node& node = *TRY(file_of(inode));
  const std::shared_ptr<ContainerState> state = container();
  if (!state) return errno_error(ESTALE, node.path);
  if (node.kind != NodeKind::kSysctl) return errno_error(EACCES, node.path);
  // procfs knows no appending: the file's position is what counts, and that is 0 after open.
  // Elsewhere a write is taken and has no effect (kernel.sysctl_writes_strict = 1).
  if (offset != 0 && !is_append) return {};
  TRY(state->sysctls.write(node.table_row, bytes));
  state->keeper.keep(KeptState::Part::kSettings,
                     [&state] { return settings_text(state->sysctls.save()); });
  const std::lock_guard lock(mutex_);
  const auto found = open_files_.find(handle);
  if (found != open_files_.end()) found->second.is_stale = true;
  return {};
}

}  // namespace sysbox::fs

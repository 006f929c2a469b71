#include "fs-emulator/file_tree.h"

#include "fs-emulator/emulated_file.h"

namespace sysbox::fs {
namespace {

constexpr double kForever = 365.0 * 24 * 3600;
constexpr std::uint64_t kHotNs = 1'000'000'000;
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
  const Node* node = nodes_.find(inode);
  if (node == nullptr) return errno_error(ENOENT, "inode ", inode);
  return node;
}

Result<NodeAttributes> FileTree::attributes(fuse_ino_t inode) {
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
  out.valid_seconds = kForever;
  fill_content(node, *state, out);
  return out;
}

Result<std::uint64_t> StaticTree::open(fuse_ino_t /*inode*/, int /*pid*/) {
  return errno_error(ENOSYS, "open");
}

void StaticTree::fill_content(const Node& node, const ContainerState& container,
                              NodeAttributes& attributes) {
  if (node.kind != NodeKind::kSysctl) return;
  const SysctlValue value = container.sysctls.value(node.table_row);
  attributes.stat.st_size = static_cast<off_t>(value.text.size());
  attributes.stat.st_mtim = value.changed;
  attributes.stat.st_ctim = value.changed;
  attributes.stat.st_atim = value.changed;

  const std::lock_guard lock(mutex_);
  const auto hot = hot_until_ns_.find(attributes.stat.st_ino);
  if (hot == hot_until_ns_.end()) return;
  // The page cache drops a file's text when its time of change is another one. A writer's raw
  // text goes through that cache, so while one may be at work each reading is made a new one.
  attributes.stat.st_mtim.tv_nsec =
      (attributes.stat.st_mtim.tv_nsec + static_cast<long>(++hot_readings_ % 1'000'000)) %
      1'000'000'000;
  if (read_clock().boot_ns < hot->second) {
    attributes.valid_seconds = 0;
  } else {
    hot_until_ns_.erase(hot);
  }
}

void StaticTree::mark_hot(fuse_ino_t inode) {
  const std::uint64_t until = read_clock().boot_ns + kHotNs;
  const std::lock_guard lock(mutex_);
  hot_until_ns_[inode] = until;
}

Result<std::string> StaticTree::read(fuse_ino_t inode, std::uint64_t /*handle*/, std::size_t size,
                                     std::uint64_t offset, int /*pid*/) {
  const Node& node = *TRY(file_of(inode));
  if (node.kind != NodeKind::kSysctl) return std::string();
  const std::shared_ptr<ContainerState> state = container();
  if (!state) return errno_error(ESTALE, node.path);
  return slice(state->sysctls.value(node.table_row).text, size, offset);
}

Result<void> StaticTree::write(fuse_ino_t inode, std::string_view bytes, std::uint64_t offset,
                               bool is_append) {
  const Node& node = *TRY(file_of(inode));
  const std::shared_ptr<ContainerState> state = container();
  if (!state) return errno_error(ESTALE, node.path);
  if (node.kind != NodeKind::kSysctl) return errno_error(EACCES, node.path);
  mark_hot(inode);
  // procfs knows no appending: the file's position is what counts, and that is 0 after open.
  // Elsewhere a write is taken and has no effect (kernel.sysctl_writes_strict = 1).
  if (offset != 0 && !is_append) return {};
  return state->sysctls.write(node.table_row, bytes);
}

void StaticTree::truncate(fuse_ino_t inode) { mark_hot(inode); }

Result<std::string> LiveTree::make_text(fuse_ino_t inode, int pid) const {
  const Node& node = *TRY(file_of(inode));
  const std::shared_ptr<ContainerState> state = container();
  if (!state) return errno_error(ESTALE, node.path);
  const ContainerView view({state->host, state->cgroups, state->history, read_clock(),
                            state->start_boot_ns.load(), pid});
  return emulated_files()[node.table_row].read(view);
}

void LiveTree::fill_content(const Node& node, const ContainerState& /*container*/,
                            NodeAttributes& attributes) {
  if (node.path.starts_with("/sys/")) attributes.stat.st_size = kSysfsFileSize;
}

Result<std::uint64_t> LiveTree::open(fuse_ino_t inode, int pid) {
  std::string text = TRY(make_text(inode, pid));
  const std::lock_guard lock(mutex_);
  const std::size_t bytes = text.size() + kOpenFileOverhead;
  if (open_bytes_ + bytes > kMaxOpenBytes) return errno_error(ENOMEM, "open emulated file");
  open_bytes_ += bytes;
  const std::uint64_t handle = next_handle_++;
  open_files_[handle] = {std::move(text), false};
  return handle;
}

void LiveTree::release(std::uint64_t handle) {
  const std::lock_guard lock(mutex_);
  const auto found = open_files_.find(handle);
  if (found == open_files_.end()) return;
  open_bytes_ -= found->second.text.size() + kOpenFileOverhead;
  open_files_.erase(found);
}

Result<std::string> LiveTree::read(fuse_ino_t inode, std::uint64_t handle, std::size_t size,
                                   std::uint64_t offset, int pid) {
  bool wants_new_text = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = open_files_.find(handle);
    if (found == open_files_.end()) return errno_error(EBADF, "emulated file");
    // Monitoring programs keep the file open and read it from the start again and again.
    wants_new_text = offset == 0 && found->second.was_read;
  }
  std::string text;
  if (wants_new_text) text = TRY(make_text(inode, pid));

  const std::lock_guard lock(mutex_);
  const auto found = open_files_.find(handle);
  if (found == open_files_.end()) return errno_error(EBADF, "emulated file");
  OpenFile& file = found->second;
  if (wants_new_text) {
    open_bytes_ += text.size();
    open_bytes_ -= file.text.size();
    file.text = std::move(text);
  }
  file.was_read = true;
  return slice(file.text, size, offset);
}

Result<void> LiveTree::write(fuse_ino_t /*inode*/, std::string_view /*bytes*/,
                             std::uint64_t /*offset*/, bool /*is_append*/) {
  return errno_error(EACCES, "emulated file");
}

}  // namespace sysbox::fs

#include "fs-emulator/fuse_replies.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "common/log.h"
#include "fs-emulator/file_tree.h"

namespace sysbox::fs {
namespace {

// The kernel never asks again for a name; names do not change while a connection lives.
constexpr double kEntrySeconds = 365.0 * 24 * 3600;
// Bounds the buffer that a request needs; no emulated file is written with more in one go.
constexpr unsigned kMaxWriteBytes = 64 * 1024;
constexpr unsigned kMaxClosingsAtOnce = 4096;

FileTree& tree_of(fuse_req_t request) {
  return *static_cast<FileTree*>(fuse_req_userdata(request));
}

Caller caller_of(fuse_req_t request) {
  const struct fuse_ctx* const context = fuse_req_ctx(request);
  return {context->pid, context->uid, context->gid};
}

// An error of ours is the caller's to see, not to log.
void reply_error(fuse_req_t request, const Error& error) { fuse_reply_err(request, error.code()); }

void on_init(void* user_data, struct fuse_conn_info* connection) noexcept {
  auto& tree = *static_cast<FileTree*>(user_data);
  // The kernel sends so many closings of files at a time. With its default of 12, many readers open
  // files faster than they are closed, and what they hold here grows to its limit.
  connection->max_background = kMaxClosingsAtOnce;
  connection->max_write = kMaxWriteBytes;
  // O_TRUNC as a request of its own: with the atomic kind the kernel takes the file for empty
  // until it asks for its size again, and a reader may meet that.
  constexpr unsigned kUnwanted =
      FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
      FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_POSIX_LOCKS;
  connection->want &= ~kUnwanted;
  // To a connection that is taken over, what was said to it before.
  if (tree.capabilities != 0) connection->want = tree.capabilities & connection->capable;
  tree.capabilities = connection->want;
}

Result<struct fuse_entry_param> entry_of(FileTree& tree, fuse_ino_t inode, int pid) {
  const NodeAttributes attributes = TRY(tree.attributes(inode, pid));
  struct fuse_entry_param entry {};
  entry.ino = inode;
  entry.attr = attributes.stat;
  entry.attr_timeout = attributes.valid_seconds;
  // Who asks next may have fewer cpus.
  entry.entry_timeout = FileTree::depends_on_requester(inode) ? 0 : kEntrySeconds;
  return entry;
}

Result<struct fuse_entry_param> look_up(FileTree& tree, fuse_ino_t parent, const char* name,
                                        int pid) {
  const std::optional<fuse_ino_t> inode = NodeList::instance().inode_of(name, parent);
  if (!inode || !TRY(tree.is_there(*inode, pid))) return errno_error(ENOENT, name);
  return entry_of(tree, *inode, pid);
}

void on_lookup(fuse_req_t request, fuse_ino_t parent, const char* name) noexcept {
  const auto entry = look_up(tree_of(request), parent, name, fuse_req_ctx(request)->pid);
  if (!entry.ok()) return reply_error(request, entry.error());
  fuse_reply_entry(request, &entry.value());
}

void reply_attributes(fuse_req_t request, fuse_ino_t inode) {
  const Result<NodeAttributes> attributes =
      tree_of(request).attributes(inode, fuse_req_ctx(request)->pid);
  if (!attributes.ok()) return reply_error(request, attributes.error());
  fuse_reply_attr(request, &attributes.value().stat, attributes.value().valid_seconds);
}

void on_getattr(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info* /*file*/) noexcept {
  reply_attributes(request, inode);
}

// A new size or new times change nothing, as on procfs; nothing else may be set.
void on_setattr(fuse_req_t request, fuse_ino_t inode, struct stat* /*wanted*/, int to_set,
                struct fuse_file_info* /*file*/) noexcept {
  constexpr int kNotToBeSet = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
  if ((to_set & kNotToBeSet) != 0) return static_cast<void>(fuse_reply_err(request, EPERM));
  reply_attributes(request, inode);
}

void on_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info* file) noexcept {
  const Result<std::uint64_t> handle =
      tree_of(request).open(inode, file->flags, caller_of(request));
  if (!handle.ok()) return reply_error(request, handle.error());
  file->fh = handle.value();
  file->direct_io = 1;
  fuse_reply_open(request, file);
}

void on_release(fuse_req_t request, fuse_ino_t /*inode*/, struct fuse_file_info* file) noexcept {
  tree_of(request).release(file->fh);
  fuse_reply_err(request, 0);
}

void on_read(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset,
             struct fuse_file_info* file) noexcept {
  const Result<std::string> bytes = tree_of(request).read(
      inode, file->fh, size, static_cast<std::uint64_t>(offset), caller_of(request));
  if (!bytes.ok()) return reply_error(request, bytes.error());
  fuse_reply_buf(request, bytes.value().data(), bytes.value().size());
}

void on_write(fuse_req_t request, fuse_ino_t inode, const char* bytes, std::size_t size,
              off_t offset, struct fuse_file_info* file) noexcept {
  const Result<void> written = tree_of(request).write(
      inode, file->fh, std::string_view(bytes, size), static_cast<std::uint64_t>(offset),
      (file->flags & O_APPEND) != 0, caller_of(request));
  if (!written.ok()) return reply_error(request, written.error());
  fuse_reply_write(request, size);
}

void on_poll(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info* file,
             struct fuse_pollhandle* waiter) noexcept {
  fuse_reply_poll(request, tree_of(request).poll(inode, file->fh, PollWaiter(waiter)));
}

// procfs has no such operation; FUSE would take an unknown one for done.
void on_fsync(fuse_req_t request, fuse_ino_t /*inode*/, int /*data_only*/,
              struct fuse_file_info* /*file*/) noexcept {
  fuse_reply_err(request, EINVAL);
}

enum class Listing { kNames, kWithAttributes };

Result<std::string> list(fuse_req_t request, fuse_ino_t directory, std::size_t size,
                         std::size_t from, Listing listing) {
  FileTree& tree = tree_of(request);
  const int pid = fuse_req_ctx(request)->pid;
  std::string out(size, '\0');
  std::size_t used = 0;
  const std::vector<fuse_ino_t>& contents = NodeList::instance().in_directory(directory);
  constexpr std::array kDots = {".", ".."};
  for (std::size_t i = from; i < kDots.size() + contents.size(); ++i) {
    const bool is_dot = i < kDots.size();
    const fuse_ino_t inode = is_dot ? directory : contents[i - kDots.size()];
    if (!is_dot && !TRY(tree.is_there(inode, pid))) continue;
    const char* name = is_dot ? kDots[i] : NodeList::instance().find(inode)->name.c_str();
    struct fuse_entry_param entry = TRY(entry_of(tree, inode, pid));
    if (is_dot) entry.ino = 0;  // no lookup of these
    const auto next = static_cast<off_t>(i + 1);
    const std::size_t room = size - used;
    const std::size_t needed =
        listing == Listing::kNames
            ? fuse_add_direntry(request, out.data() + used, room, name, &entry.attr, next)
            : fuse_add_direntry_plus(request, out.data() + used, room, name, &entry, next);
    if (needed > room) break;
    used += needed;
  }
  out.resize(used);
  return out;
}

void reply_listing(fuse_req_t request, fuse_ino_t directory, std::size_t size, off_t offset,
                   Listing listing) {
  const Result<std::string> entries =
      list(request, directory, size, static_cast<std::size_t>(offset), listing);
  if (!entries.ok()) return reply_error(request, entries.error());
  fuse_reply_buf(request, entries.value().data(), entries.value().size());
}

void on_readdir(fuse_req_t request, fuse_ino_t directory, std::size_t size, off_t offset,
                struct fuse_file_info* /*file*/) noexcept {
  reply_listing(request, directory, size, offset, Listing::kNames);
}

void on_readdirplus(fuse_req_t request, fuse_ino_t directory, std::size_t size, off_t offset,
                    struct fuse_file_info* /*file*/) noexcept {
  reply_listing(request, directory, size, offset, Listing::kWithAttributes);
}

void on_readlink(fuse_req_t request, fuse_ino_t inode) noexcept {
  const Result<std::string> target =
      tree_of(request).link_target(inode, fuse_req_ctx(request)->pid);
  if (!target.ok()) return reply_error(request, target.error());
  fuse_reply_readlink(request, target.value().c_str());
}

struct fuse_lowlevel_ops operations() {
  struct fuse_lowlevel_ops ops {};
  ops.init = on_init;
  ops.lookup = on_lookup;
  ops.getattr = on_getattr;
  ops.setattr = on_setattr;
  ops.open = on_open;
  ops.release = on_release;
  ops.read = on_read;
  ops.write = on_write;
  ops.fsync = on_fsync;
  ops.poll = on_poll;
  ops.readlink = on_readlink;
  ops.readdir = on_readdir;
  ops.readdirplus = on_readdirplus;
  return ops;
}

}  // namespace

const struct fuse_lowlevel_ops kFuseOperations = operations();

}  // namespace sysbox::fs

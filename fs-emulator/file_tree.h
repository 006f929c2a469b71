#pragma once

// What one FUSE connection shows: the files of one container, or of none yet while the
// connection is a spare one. Every function may be called while the container goes away.

#include <fuse_lowlevel.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "common/result.h"
#include "fs-emulator/container_cgroups.h"
#include "fs-emulator/container_history.h"
#include "fs-emulator/nodes.h"
#include "fs-emulator/sysctl_store.h"

namespace sysbox::fs {

// What the files of one container share.
struct ContainerState {
  ContainerState(const HostFiles& host_files, const SysctlDefaults& defaults,
                 CgroupDirectories directories, uid_t root_uid, gid_t root_gid)
      : host(host_files),
        owner_uid(root_uid),
        owner_gid(root_gid),
        cgroups(std::move(directories)),
        sysctls(defaults) {}

  const HostFiles& host;
  const uid_t owner_uid;  // the container's root
  const gid_t owner_gid;
  ContainerCgroups cgroups;
  ContainerHistory history;
  SysctlStore sysctls;
  std::atomic<std::uint64_t> start_boot_ns{read_clock().boot_ns};
};

struct NodeAttributes {
  struct stat stat {};
  double valid_seconds = 0;  // how long the kernel may believe them
};

class FileTree {
 public:
  explicit FileTree(const NodeList& nodes) : nodes_(nodes) {}
  virtual ~FileTree() = default;
  FileTree(const FileTree&) = delete;
  FileTree& operator=(const FileTree&) = delete;

  // From here on the files are this container's.
  void assign(std::shared_ptr<ContainerState> container);

  const NodeList& nodes() const { return nodes_; }
  Result<NodeAttributes> attributes(fuse_ino_t inode);

  // ENOSYS: files of this tree are used without open.
  virtual Result<std::uint64_t> open(fuse_ino_t inode, int pid) = 0;
  virtual void release(std::uint64_t handle) = 0;
  virtual Result<std::string> read(fuse_ino_t inode, std::uint64_t handle, std::size_t size,
                                   std::uint64_t offset, int pid) = 0;
  // `is_append`: the file was opened with O_APPEND.
  virtual Result<void> write(fuse_ino_t inode, std::string_view bytes, std::uint64_t offset,
                             bool is_append) = 0;
  virtual void truncate(fuse_ino_t inode) = 0;

 protected:
  virtual void fill_content(const Node& node, const ContainerState& container,
                            NodeAttributes& attributes) = 0;
  std::shared_ptr<ContainerState> container() const;
  // ESTALE before a container is assigned; ENOENT for an inode that is none of ours.
  Result<const Node*> file_of(fuse_ino_t inode) const;

 private:
  const NodeList& nodes_;
  mutable std::mutex mutex_;
  std::shared_ptr<ContainerState> container_;
};

// Settings and masks: no open, cached by the kernel, true sizes.
class StaticTree : public FileTree {
 public:
  StaticTree() : FileTree(NodeList::of_static_tree()) {}

  Result<std::uint64_t> open(fuse_ino_t inode, int pid) override;
  void release(std::uint64_t /*handle*/) override {}
  Result<std::string> read(fuse_ino_t inode, std::uint64_t handle, std::size_t size,
                           std::uint64_t offset, int pid) override;
  Result<void> write(fuse_ino_t inode, std::string_view bytes, std::uint64_t offset,
                     bool is_append) override;
  void truncate(fuse_ino_t inode) override;

 protected:
  void fill_content(const Node& node, const ContainerState& container,
                    NodeAttributes& attributes) override;

 private:
  void mark_hot(fuse_ino_t inode);

  std::mutex mutex_;
  // Files that somebody is writing: until when (boot time) the kernel must not trust its cache.
  std::map<fuse_ino_t, std::uint64_t> hot_until_ns_;
  std::uint64_t hot_readings_ = 0;
};

// Files whose text is made when they are opened, and again when they are read from the start.
class LiveTree : public FileTree {
 public:
  LiveTree() : FileTree(NodeList::of_live_tree()) {}

  Result<std::uint64_t> open(fuse_ino_t inode, int pid) override;
  void release(std::uint64_t handle) override;
  Result<std::string> read(fuse_ino_t inode, std::uint64_t handle, std::size_t size,
                           std::uint64_t offset, int pid) override;
  Result<void> write(fuse_ino_t inode, std::string_view bytes, std::uint64_t offset,
                     bool is_append) override;
  void truncate(fuse_ino_t /*inode*/) override {}

 protected:
  void fill_content(const Node& node, const ContainerState& container,
                    NodeAttributes& attributes) override;

 private:
  struct OpenFile {
    std::string text;
    bool was_read = false;
  };
  Result<std::string> make_text(fuse_ino_t inode, int pid) const;

  std::mutex mutex_;
  std::map<std::uint64_t, OpenFile> open_files_;
  std::size_t open_bytes_ = 0;
  std::uint64_t next_handle_ = 1;
};

}  // namespace sysbox::fs

#pragma once

// What one FUSE connection shows: the files of one container, or of none yet while the
// connection is a spare one. Every function may be called while the container goes away.

#include <fuse_lowlevel.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "common/result.h"
#include "fs-emulator/container_cgroups.h"
#include "fs-emulator/container_history.h"
#include "fs-emulator/kept_state.h"
#include "fs-emulator/nodes.h"
#include "fs-emulator/open_files.h"
#include "fs-emulator/pressure_triggers.h"
#include "fs-emulator/recent_texts.h"
#include "fs-emulator/sysctl_store.h"
#include "fs-emulator/uts_name_polls.h"

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

  // The container as a process in it sees it, at this moment; 0: as its root cgroup does.
  ContainerView view_of(int requester_pid_on_host) {
    return ContainerView({host, cgroups, history, read_clock(), start_boot_ns.load(),
                          boottime_offset_ns.load(), requester_pid_on_host});
  }

  const HostFiles& host;
  const uid_t owner_uid;  // the container's root
  const gid_t owner_gid;
  const std::uint64_t made_wall_ns{read_clock().wall_ns};
  ContainerCgroups cgroups;
  ContainerHistory history;
  SysctlStore sysctls;
  std::atomic<std::uint64_t> start_boot_ns{read_clock().boot_ns};
  std::atomic<std::int64_t> boottime_offset_ns{0};  // of its own time namespace
  // Known once the container is started.
  std::atomic<ino_t> user_namespace{0};  // its inode number
  std::atomic<int> init_pid{0};          // of its first process; whoever has it at the moment
  std::atomic<ino_t> network_namespace{0};
  StateKeeper keeper;
};

// Who asks, as the host numbers them.
struct Caller {
  int pid = 0;  // 0 if the kernel does not say
  uid_t uid = 0;
  gid_t gid = 0;
};

struct NodeAttributes {
  struct stat stat {};
  double valid_seconds = 0;  // how long the kernel may believe them
};

// A file's text is made when it is opened, and again when it is read from the start; in between
// it stays, so that a reader sees whole values. Files are opened with direct I/O: in FUSE's no-open
// mode, with pages cached, a writer's raw text and a new size meet in the page cache with what
// others read, and a mixture of two values was seen.
class FileTree {
 public:
  FileTree() = default;
  FileTree(const FileTree&) = delete;
  FileTree& operator=(const FileTree&) = delete;

  // From here on the files are this container's.
  void assign(std::shared_ptr<ContainerState> container);

  Result<NodeAttributes> attributes(fuse_ino_t inode, int pid);

  // Whether who asks has the cpu or memory node that the directory or link is of.
  Result<bool> is_there(fuse_ino_t inode, int pid);
  static bool depends_on_requester(fuse_ino_t inode);
  Result<std::string> link_target(fuse_ino_t inode, int pid);

  Result<std::uint64_t> open(fuse_ino_t inode, int flags, const Caller& caller);
  void release(std::uint64_t handle);
  Result<std::string> read(fuse_ino_t inode, std::uint64_t handle, std::size_t size,
                           std::uint64_t offset, const Caller& caller);
  // `is_append`: the file was opened with O_APPEND.
  Result<void> write(fuse_ino_t inode, std::uint64_t handle, std::string_view bytes,
                     std::uint64_t offset, bool is_append, const Caller& caller);

  // The events for poll(2).
  unsigned poll(fuse_ino_t inode, std::uint64_t handle, PollWaiter waiter);
  // Before the connection ends that is told of them.
  void end_polls();

  // Makes the kernel ask for a file's attributes again. By itself it forgets after a write that the
  // size is known, but asks only who looks at the size: sendfile(2) would go by the old one.
  std::function<void(fuse_ino_t inode)> forget_attributes = [](fuse_ino_t) {};

  // FUSE_CAP_* bits: what is asked for is what is said here, if that is not 0.
  std::atomic<std::uint32_t> capabilities{0};

 private:
  std::shared_ptr<ContainerState> container() const;
  // ENOENT for an inode that is none of ours.
  Result<const Node*> file_of(fuse_ino_t inode) const;
  // EPERM as for the kernel's settings. ESTALE before a container is assigned.
  Result<void> check_access(const Node& node, mode_t wanted, const Caller& caller) const;
  Result<void> set_trigger(const Node& node, std::uint64_t handle, std::string_view text,
                           const Caller& caller);
  Result<SharedText> text_for(const Node& node, fuse_ino_t inode, int pid);
  Result<SharedText> live_text(ContainerState& state, const Node& node, fuse_ino_t inode, int pid);

  mutable std::mutex mutex_;
  std::shared_ptr<ContainerState> container_;
  OpenFiles open_files_;
  RecentTexts recent_;
  PressureTriggers triggers_;
  UtsNamePolls name_polls_;
};

}  // namespace sysbox::fs

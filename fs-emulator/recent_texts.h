#pragma once

// Texts that were made a moment ago. One open(2) asks for the attributes, with the size, and for
// the text itself: both are to be of one making. And of many readers at once, one is enough to
// look at the cgroups.

#include <fuse_lowlevel.h>

#include <cstdint>
#include <mutex>
#include <vector>

#include "common/process_status.h"
#include "fs-emulator/open_files.h"

namespace sysbox::fs {

// `now_ns` never goes back. Null: there is none.
class RecentTexts {
 public:
  // What `pid` got, if that was so recently that no clock in a file of the kernel's has moved.
  SharedText of_process(fuse_ino_t inode, int pid, std::uint64_t now_ns);
  // The same for a process of the same cgroups, which it then is: `pid`.
  SharedText of_cgroup(fuse_ino_t inode, const CgroupMembership& cgroups, int pid,
                       std::uint64_t now_ns);
  // The newer one if others made one meanwhile: what readers see never goes back.
  SharedText add(fuse_ino_t inode, const CgroupMembership& cgroups, int pid, std::uint64_t made_ns,
                 SharedText text);

 private:
  struct Recent {
    fuse_ino_t inode;
    std::uint64_t made_ns;
    SharedText text;
    CgroupMembership cgroups;
    std::vector<int> pids;
  };
  void drop_old(std::uint64_t now_ns);

  std::mutex mutex_;
  std::vector<Recent> texts_;
};

}  // namespace sysbox::fs

#pragma once

// poll(2) on kernel/hostname and kernel/domainname, by which systemd's daemons learn of a new name.
// As in the kernel (proc_sys_poll() in fs/proc/proc_sysctl.c), a new name in any UTS namespace of
// the machine is an event for every open file.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "fs-emulator/poll_waiter.h"
#include "fs-emulator/uts_name.h"

namespace sysbox::fs {

// The open files of one container.
class UtsNamePolls {
 public:
  UtsNamePolls() = default;
  ~UtsNamePolls();
  UtsNamePolls(const UtsNamePolls&) = delete;
  UtsNamePolls& operator=(const UtsNamePolls&) = delete;

  // What changes from here on is news for the file.
  void opened(std::uint64_t handle, UtsName which);
  void release(std::uint64_t handle);
  // Before the connection ends that the pollers wait at.
  void release_all();

  // The events for poll(2); `waiter` is told of the next one. Null: nobody waits.
  unsigned poll(std::uint64_t handle, UtsName which, PollWaiter waiter);

 private:
  class File;
  class Changes;

  // With mutex_ held. A file that an earlier daemon opened has seen what there was so far.
  File& file_of(std::uint64_t handle, UtsName which);

  std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<File>> files_;
};

}  // namespace sysbox::fs

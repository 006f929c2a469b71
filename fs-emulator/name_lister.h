#pragma once

// NameLister: lists the files of our own FUSE connections, so that the kernel knows their names.

#include <optional>
#include <thread>

#include "common/message_socket.h"
#include "common/result.h"

namespace sysbox::fs {

// A thread that waits for its own process's answer must not keep the process from dying: killed,
// it waits on, for the kernel does not interrupt a wait for an answer that is being made, and with
// it would live the descriptors of /dev/fuse that the answer could only fail with. So this one
// has none of the process's descriptors.
class NameLister {
 public:
  static Result<NameLister> start();
  NameLister(NameLister&&) noexcept = default;
  NameLister& operator=(NameLister&&) noexcept = default;
  NameLister(const NameLister&) = delete;
  NameLister& operator=(const NameLister&) = delete;
  ~NameLister();

  // `mount_fd`: a directory of a connection that is being served.
  Result<void> list(int mount_fd);

 private:
  NameLister(MessageSocket socket, std::thread thread)
      : socket_(std::move(socket)), thread_(std::move(thread)) {}

  std::optional<MessageSocket> socket_;
  std::thread thread_;
};

}  // namespace sysbox::fs

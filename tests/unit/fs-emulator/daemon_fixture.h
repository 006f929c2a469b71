#pragma once

// The daemon's parts in this process, and containers in them; on the real kernel.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "common/syscalls.h"
#include "fs-emulator/container_registry.h"
#include "fs-emulator/fuse_loop.h"
#include "fs-emulator/spare_sessions.h"

namespace sysbox::fs {

// A reason to skip, or "".
inline std::string why_no_fuse() {
  if (::geteuid() != 0) return "needs root for mounts";
  const Result<UniqueFd> device = sys::open("/dev/fuse", O_RDWR);
  return device.ok() ? "" : device.error().message();
}

class DaemonParts {
 public:
  DaemonParts()
      : host_{RootDir::open("/proc").value(), RootDir::open("/sys").value()},
        loop_(FuseLoop::start(3).value()),
        spares_(*loop_, 1),
        registry_(host_, *loop_, spares_, notify_loop_) {}

  ContainerRegistry& registry() { return registry_; }
  FuseLoop& loop() { return *loop_; }
  seccomp::NotifyLoop& notify_loop() { return notify_loop_; }

 private:
  HostFiles host_;
  std::unique_ptr<FuseLoop> loop_;
  SpareSessions spares_;
  seccomp::NotifyLoop notify_loop_;
  ContainerRegistry registry_;
};

inline RegisterRequest request_for(const std::string& id, CgroupDirectories cgroups = {}) {
  return {id, IdMap::onto({231072, 65536}), IdMap::onto({331072, 65536}), std::move(cgroups)};
}

// One registered container's files, used by descriptor: the mount is on no path.
class Tree {
 public:
  Tree(ContainerRegistry& registry, const RegisterRequest& request)
      : reply_(registry.register_container(request).value()) {}

  int root() const { return reply_.tree.get(); }
  const RegisterReply& reply() const { return reply_; }

  std::string read(const std::string& name) const {
    return sys::read_file_at(root(), name).value_or("error");
  }
  // 0 or an errno.
  int write(const std::string& name, std::string_view text, int flags = O_TRUNC) const {
    const Result<UniqueFd> file = sys::openat(root(), name, O_WRONLY | flags);
    if (!file.ok()) return file.error().code();
    const Result<void> written = sys::write_all(file.value().get(), text);
    return written.ok() ? 0 : written.error().code();
  }

 private:
  RegisterReply reply_;
};

}  // namespace sysbox::fs

#define REQUIRE_FUSE() \
  if (const std::string why = ::sysbox::fs::why_no_fuse(); !why.empty()) GTEST_SKIP() << why

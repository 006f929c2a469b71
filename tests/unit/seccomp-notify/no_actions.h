#pragma once

// The actions of a container that has no emulated files.

#include <string>
#include <utility>

#include "seccomp-notify/container_actions.h"

namespace sysbox::testing {

class NoActions : public seccomp::ContainerActions {
 public:
  explicit NoActions(std::string id) : id_(std::move(id)) {}
  const std::string& container_id() const override { return id_; }
  Result<UniqueFd> procfs_with_pieces(const seccomp::TargetNamespaces& /*target*/,
                                      const seccomp::NewMount& /*mount*/) override {
    return errno_error(ENOSYS, "procfs");
  }
  Result<UniqueFd> sysfs_with_pieces(const seccomp::TargetNamespaces& /*target*/,
                                     const seccomp::NewMount& /*mount*/) override {
    return errno_error(ENOSYS, "sysfs");
  }
  Result<UniqueFd> procfs_context(const seccomp::TargetNamespaces& /*target*/) override {
    return errno_error(ENOSYS, "procfs");
  }
  Result<UniqueFd> sysfs_context(const seccomp::TargetNamespaces& /*target*/) override {
    return errno_error(ENOSYS, "sysfs");
  }
  Result<UniqueFd> with_pieces(UniqueFd /*mount*/,
                               const seccomp::TargetNamespaces& /*target*/) override {
    return errno_error(ENOSYS, "pieces");
  }
  Result<UniqueFd> keep_locked_mounts(UniqueFd /*tree*/) override {
    return errno_error(ENOSYS, "locked mounts");
  }
  bool is_kept(int /*place_fd*/) override { return false; }
  void keep_for_a_while(UniqueFd /*mount*/, seccomp::Keep /*what*/) override {}
  bool is_piece_device(dev_t /*device*/) const override { return false; }
  Result<UniqueFd> network_namespace() override { return errno_error(ENOSYS, "network"); }
  Result<seccomp::SystemInformation> system_information(pid_t /*tid_on_host*/) override {
    return errno_error(ENOSYS, "sysinfo");
  }
  Result<std::size_t> cpu_count(pid_t /*tid_on_host*/) override {
    return errno_error(ENOSYS, "cpus");
  }

 private:
  std::string id_;
};

}  // namespace sysbox::testing

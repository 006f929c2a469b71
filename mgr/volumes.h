#pragma once

// Volumes: host directories behind a container's special directories, in which inner engines
// keep what overlayfs cannot hold (an overlay's upper directory on an overlay does not work).
// They live as long as the container's lifeline: over stop, start, reboot, and whatever
// happens to this daemon.

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "mgr/api.h"
#include "mgr/lifeline.h"
#include "mgr/trash.h"

namespace sysbox::mgr {

struct SpecialDirectory {
  std::string_view destination;  // in the container
  std::string_view name;         // of the directory on the host
  mode_t mode;                   // where the image has no such directory
};

// CRI-O is not missing: it keeps its storage in /var/lib/containers.
inline constexpr std::array kSpecialDirectories = {
    SpecialDirectory{"/var/lib/buildkit", "buildkit", 0700},
    SpecialDirectory{"/var/lib/containerd", "containerd", 0711},
    SpecialDirectory{"/var/lib/containers", "containers", 0700},
    SpecialDirectory{"/var/lib/docker", "docker", 0710},
    SpecialDirectory{"/var/lib/k0s", "k0s", 0755},
    SpecialDirectory{"/var/lib/kubelet", "kubelet", 0755},
    SpecialDirectory{"/var/lib/rancher/k3s", "k3s", 0755},
    SpecialDirectory{"/var/lib/rancher/rke2", "rke2", 0755},
};

class Volumes {
 public:
  // Makes `data_root`/volumes if it is missing, and starts deleting what the trash holds.
  static Result<Volumes> open(const std::string& data_root);

  // A container's lifeline and volumes.
  struct Stored {
    std::string id;
    Lifeline lifeline;
    std::vector<Volume> volumes;
  };

  // The container's volumes, made if they are missing, with the image's content. If volumes of
  // an earlier container of this id are there (another lifeline), they go to the trash first.
  // Nothing half-made stays if it fails. Not for one id from two threads at a time.
  Result<Stored> prepare(const RegisterRequest& request, const std::atomic<bool>& cancelled);

  // What is on disk. Containers whose record cannot be read are in `warnings` instead: without
  // it nobody can tell when their data may go, so it stays.
  std::vector<Stored> stored(std::vector<std::string>& warnings) const;
  // ENOENT if the container has no volumes.
  Result<Stored> find(const std::string& id) const;

  // To the trash with all of the container's volumes, if it has any.
  Result<void> discard(const std::string& id);
  void wait_until_discarded() { trash_->wait_until_idle(); }

 private:
  Volumes(std::string path, UniqueFd directory, UniqueFd trash);

  Result<UniqueFd> open_container(const std::string& id, const Lifeline& lifeline, bool& is_new);
  Result<std::vector<Volume>> fill(int container_fd, const RegisterRequest& request,
                                   const std::atomic<bool>& cancelled);
  Result<void> make_volume(int container_fd, const SpecialDirectory& special, int image_fd,
                           const std::atomic<bool>& cancelled);
  std::string path_of(const std::string& id) const;

  std::string path_;
  UniqueFd directory_;
  std::unique_ptr<Trash> trash_;
};

}  // namespace sysbox::mgr

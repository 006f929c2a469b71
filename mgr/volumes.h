#pragma once

// Volumes: host directories behind a container's special directories, in which inner engines
// keep what overlayfs cannot hold (an overlay's upper directory on an overlay does not work).
// They live as long as the container's lifeline: over stop, start, reboot, and whatever
// happens to this daemon.
//
// Where images are made from the container, its volumes are in the overlay's own directory, beside
// the upper layer, and in the upper layer while it does not run (volume_in_layer.h); the engine
// deletes them with the rest. Other containers have theirs below the data root.

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/root_dir.h"
#include "mgr/api.h"
#include "mgr/lifeline.h"
#include "mgr/trash.h"

namespace sysbox::mgr {

enum class VolumePlace { kBesideLayer, kInLayer };

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

  // Moves the volumes of a container that does not run, or back. No error if it has none, or none
  // that belong into images. Not for one id from two threads at a time.
  Result<void> move(const std::string& id, VolumePlace place, const std::atomic<bool>& cancelled);

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

  // Where a container's volumes are while it runs.
  struct Home {
    std::string path;
    UniqueFd directory;
    std::string upper_layer;  // empty: images are not made from the container
    uid_t root_uid = 0;       // whom a directory that the image does not have belongs to
    gid_t root_gid = 0;
  };

  Result<UniqueFd> open_container(const RegisterRequest& request, const Lifeline& lifeline,
                                  bool& is_new);
  Result<Home> open_home(int container_fd, const std::string& id,
                         const std::string& upper_layer) const;
  Result<Home> make_home(int container_fd, const RegisterRequest& request,
                         const RootDir& rootfs) const;
  Result<std::vector<Volume>> fill(int container_fd, const RegisterRequest& request,
                                   const std::atomic<bool>& cancelled);
  Result<void> prepare_volume(const Home& home, const SpecialDirectory& special,
                              const RootDir& rootfs, const std::atomic<bool>& cancelled);
  Result<void> make_volume(const Home& home, const SpecialDirectory& special, int image_fd,
                           const std::atomic<bool>& cancelled);
  static Result<void> move_all(const Home& home, VolumePlace place, const std::string& rootfs,
                               const std::atomic<bool>& cancelled);
  Result<void> throw_away(int home_fd, const std::string& name);
  std::string path_of(const std::string& id) const;

  std::string path_;
  UniqueFd directory_;
  std::unique_ptr<Trash> trash_;
};

}  // namespace sysbox::mgr

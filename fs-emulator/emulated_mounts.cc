#include "fs-emulator/emulated_mounts.h"

#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>

#include "common/log.h"
#include "common/mount_pieces.h"
#include "common/procfs_context.h"
#include "common/syscalls.h"
#include "fs-emulator/mount_locksmith.h"

namespace sysbox::fs {
namespace {

// What a container may pass to procfs. "pidns" is left out: it would be a path on the host.
constexpr std::array<std::string_view, 3> kProcfsOptions = {"hidepid", "gid", "subset"};

Result<void> apply_option(int fs_fd, std::string_view option) {
  const std::size_t equals = option.find('=');
  const std::string name(option.substr(0, equals));
  for (const std::string_view known : kProcfsOptions) {
    if (name != known) continue;
    if (equals == std::string_view::npos) return sys::fsconfig_flag(fs_fd, name);
    return sys::fsconfig_string(fs_fd, name, std::string(option.substr(equals + 1)));
  }
  return errno_error(EINVAL, "procfs option '", option, "'");
}

Result<void> apply_options(int fs_fd, std::string_view options) {
  while (!options.empty()) {
    const std::size_t end = std::min(options.find(','), options.size());
    if (end != 0) TRY(apply_option(fs_fd, options.substr(0, end)));
    options.remove_prefix(std::min(end + 1, options.size()));
  }
  return {};
}

// A thread that stays in a container's namespace is of no more use.
Result<void> come_back(int own_namespace_fd, int type) {
  const Result<void> back = sys::setns(own_namespace_fd, type);
  if (!back.ok()) return errno_error(ENOTRECOVERABLE, back.error().message());
  return {};
}

Result<UniqueFd> fsopen_proc_of(int pid_namespace_fd) {
  if (kernel_abilities().procfs_of_namespace) {
    UniqueFd fs_fd = TRY(sys::fsopen("proc"));
    const Result<void> told = sys::fsconfig_fd(fs_fd.get(), "pidns", pid_namespace_fd);
    if (told.ok()) return fs_fd;
    if (told.error().code() != EINVAL) return told.error();
    kernel_abilities().procfs_of_namespace = false;
  }
  return fsopen_procfs_inside(pid_namespace_fd);
}

Result<UniqueFd> plain_procfs(int pid_namespace_fd, const seccomp::NewMount& mount) {
  const UniqueFd fs_fd = TRY(fsopen_proc_of(pid_namespace_fd));
  TRY(apply_options(fs_fd.get(), mount.options));
  TRY(sys::fsconfig_create(fs_fd.get()));
  return sys::fsmount(fs_fd.get(), mount.access_time);
}

// A sysfs shows the devices of the network namespace of the task that opens its context.
Result<UniqueFd> plain_sysfs(int net_namespace_fd, const seccomp::NewMount& mount) {
  const UniqueFd own = TRY(sys::open("/proc/thread-self/ns/net", O_RDONLY));
  TRY(sys::setns(net_namespace_fd, CLONE_NEWNET));
  Result<UniqueFd> tree = [&]() -> Result<UniqueFd> {
    const UniqueFd fs_fd = TRY(sys::fsopen("sysfs"));
    TRY(sys::fsconfig_create(fs_fd.get()));
    return sys::fsmount(fs_fd.get(), mount.access_time);
  }();
  TRY(come_back(own.get(), CLONE_NEWNET));
  return tree;
}

Result<dev_t> device_of(int tree_fd) {
  struct statx stx {};
  // Without asking the file system, which this very process may be.
  if (::statx(tree_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &stx) != 0) {
    return last_error("statx of an emulated tree");
  }
  return makedev(stx.stx_dev_major, stx.stx_dev_minor);
}

class EmulatedMounts : public seccomp::ContainerActions {
 public:
  EmulatedMounts(std::shared_ptr<const ContainerIdentity> identity,
                 std::shared_ptr<const EmulatedTree> tree,
                 ReadSystemInformation read_system_information)
      : identity_(std::move(identity)),
        tree_(std::move(tree)),
        read_system_information_(std::move(read_system_information)) {
    for (const Piece& piece : tree_->pieces) {
      (piece.filesystem == "proc" ? procfs_pieces_ : sysfs_pieces_)
          .push_back({piece.target, tree_->mount.get(), piece.source});
    }
    const Result<dev_t> device = device_of(tree_->mount.get());
    if (device.ok()) {
      device_ = device.value();
    } else {
      log::error(device.error().message());
    }
  }

  ~EmulatedMounts() override;
  EmulatedMounts(const EmulatedMounts&) = delete;
  EmulatedMounts& operator=(const EmulatedMounts&) = delete;

  const std::string& container_id() const override { return identity_->id; }

  Result<UniqueFd> procfs_with_pieces(const seccomp::TargetNamespaces& target,
                                      const seccomp::NewMount& mount) override;

  Result<UniqueFd> sysfs_with_pieces(const seccomp::TargetNamespaces& target,
                                     const seccomp::NewMount& mount) override {
    return build(TRY(plain_sysfs(target.net_fd, mount)), sysfs_pieces_);
  }

  bool is_piece_device(dev_t device) const override { return device == device_; }

  Result<seccomp::SystemInformation> system_information(pid_t tid_on_host) override {
    return read_system_information_(tid_on_host);
  }

 private:
  // The last pid namespace asked for, and, once it is asked for again, a tree for it to clone:
  // attaching the pieces to a new procfs is most of the work. What is cloned shares a
  // superblock, as all procfs mounts of a pid namespace did until Linux 5.8; the container's
  // first procfs has its own.
  struct Template {
    ino_t pid_namespace = 0;
    std::shared_ptr<const UniqueFd> tree;
  };

  Result<UniqueFd> repeated_procfs(int pid_namespace_fd, const Template& known);
  Result<UniqueFd> build(UniqueFd tree, const std::vector<MountPiece>& pieces);
  Result<void> have_tree_adopted(MountLocksmith& locksmith);

  const std::shared_ptr<const ContainerIdentity> identity_;
  const std::shared_ptr<const EmulatedTree> tree_;
  const ReadSystemInformation read_system_information_;
  std::vector<MountPiece> procfs_pieces_;
  std::vector<MountPiece> sysfs_pieces_;
  std::optional<dev_t> device_;
  std::mutex mutex_;  // of what follows; not held while anything is built
  Template template_;
  MountLocksmith* adopted_by_ = nullptr;
};

Result<UniqueFd> EmulatedMounts::procfs_with_pieces(const seccomp::TargetNamespaces& target,
                                                    const seccomp::NewMount& mount) {
  if (mount.options.empty() && mount.access_time == 0) {
    const ino_t inode = TRY(sys::fstat(target.pid_fd)).st_ino;
    Template known;
    {
      const std::lock_guard lock(mutex_);
      known = template_;
      // A tree keeps its pid namespace and so the number; without a tree it may be another one,
      // which then gets its template at its first mount.
      if (known.pid_namespace != inode) template_ = Template{inode, nullptr};
    }
    if (known.pid_namespace == inode) return repeated_procfs(target.pid_fd, known);
  }
  return build(TRY(plain_procfs(target.pid_fd, mount)), procfs_pieces_);
}

Result<UniqueFd> EmulatedMounts::repeated_procfs(int pid_namespace_fd, const Template& known) {
  std::shared_ptr<const UniqueFd> tree = known.tree;
  if (!tree) {
    UniqueFd plain = TRY(plain_procfs(pid_namespace_fd, {}));
    UniqueFd built = TRY(build(std::move(plain), procfs_pieces_));
    if (!kernel_abilities().clone_detached) return built;
    tree = std::make_shared<const UniqueFd>(std::move(built));
    const std::lock_guard lock(mutex_);
    if (template_.pid_namespace == known.pid_namespace) template_.tree = tree;
  }
  const MountLocksmith* const locksmith = TRY(MountLocksmith::instance());
  Result<UniqueFd> clone = locksmith->clone(tree->get());
  if (clone.ok() || clone.error().code() != EINVAL) return clone;
  kernel_abilities().clone_detached = false;
  {
    const std::lock_guard lock(mutex_);
    template_ = Template{};
  }
  return build(TRY(plain_procfs(pid_namespace_fd, {})), procfs_pieces_);
}

Result<UniqueFd> EmulatedMounts::build(UniqueFd tree, const std::vector<MountPiece>& pieces) {
  MountLocksmith* const locksmith = TRY(MountLocksmith::instance());
  if (kernel_abilities().attach_to_detached) {
    const Result<void> attached = attach_pieces(tree.get(), pieces);
    if (attached.ok()) return locksmith->lock(std::move(tree));
    if (attached.error().code() != EINVAL) return attached.error();
    kernel_abilities().attach_to_detached = false;
  }
  TRY(have_tree_adopted(*locksmith));
  TRY(locksmith->assemble_inside(tree.get(), [&] { return attach_pieces(tree.get(), pieces); }));
  return locksmith->lock(std::move(tree));
}

Result<void> EmulatedMounts::have_tree_adopted(MountLocksmith& locksmith) {
  const std::lock_guard lock(mutex_);
  if (adopted_by_ != nullptr) return {};
  TRY(locksmith.adopt(tree_->mount.get()).in("emulated tree"));
  adopted_by_ = &locksmith;
  return {};
}

EmulatedMounts::~EmulatedMounts() {
  if (adopted_by_ == nullptr) return;
  // Whoever ends us may share its file system attributes with others.
  std::thread([this] {
    if (!sys::unshare(CLONE_FS).ok()) return;
    const Result<void> gone = adopted_by_->disown(tree_->mount.get());
    if (!gone.ok()) log::error("emulated tree: ", gone.error().message());
  }).join();
}

}  // namespace

KernelAbilities& kernel_abilities() {
  static KernelAbilities abilities;
  return abilities;
}

std::shared_ptr<seccomp::ContainerActions> make_container_actions(
    std::shared_ptr<const ContainerIdentity> identity, std::shared_ptr<const EmulatedTree> tree,
    ReadSystemInformation read_system_information) {
  return std::make_shared<EmulatedMounts>(std::move(identity), std::move(tree),
                                          std::move(read_system_information));
}

}  // namespace sysbox::fs

#include "fs-emulator/emulated_mounts.h"

#include <linux/magic.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>

#include "common/log.h"
#include "common/mount_pieces.h"
#include "common/syscalls.h"
#include "fs-emulator/background_work.h"
#include "fs-emulator/clone_stock.h"
#include "fs-emulator/mount_locksmith.h"
#include "fs-emulator/plain_mounts.h"
#include "seccomp-notify/visitor.h"

namespace sysbox::fs {
namespace {

// By what is kept.
constexpr std::array<std::size_t, 2> kMostKept{16, 64};
constexpr std::size_t kMostAttached = 64;  // to know again; the others take longer to unmount
constexpr std::chrono::seconds kKeptFor{10};

// A file of every procfs that programs do not look at to find out what kind it is.
constexpr const char* kAnchor = "loadavg";

// What lies below is another file in each network namespace. Where a piece covers one, the kernel
// lets only the first network namespace write it.
constexpr std::string_view kNetworkSettings = "sys/net/";

// MOUNT_ATTR_NOATIME and the like of a mount.
Result<unsigned> access_time_of(int mount_fd) {
  struct statfs fs {};
  if (::fstatfs(mount_fd, &fs) != 0) return last_error("statfs of a mount");
  unsigned attributes = 0;
  if ((fs.f_flags & ST_NODIRATIME) != 0) attributes |= MOUNT_ATTR_NODIRATIME;
  if ((fs.f_flags & ST_NOATIME) != 0) return attributes | MOUNT_ATTR_NOATIME;
  if ((fs.f_flags & ST_RELATIME) == 0) attributes |= MOUNT_ATTR_STRICTATIME;
  return attributes;
}

Result<dev_t> device_of(int tree_fd) {
  struct statx stx {};
  // Without asking the file system, which this very process may be.
  if (::statx(tree_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &stx) != 0) {
    return last_error("statx of an emulated tree");
  }
  return makedev(stx.stx_dev_major, stx.stx_dev_minor);
}

// What lies over one kind of mount.
enum class PieceSet : std::uint8_t {
  kProcfs,
  kNestedProcfs,  // in a network namespace that was made inside
  kSysfs,
};

class EmulatedMounts : public seccomp::ContainerActions,
                       public std::enable_shared_from_this<EmulatedMounts> {
 public:
  EmulatedMounts(std::shared_ptr<const ContainerIdentity> identity,
                 std::shared_ptr<const EmulatedTree> tree, LiveFacts facts)
      : identity_(std::move(identity)), tree_(std::move(tree)), facts_(std::move(facts)) {
    for (const Piece& piece : tree_->pieces) {
      const MountPiece covered{piece.target, tree_->mount.get(), piece.source};
      if (piece.filesystem != "proc") {
        pieces_of(PieceSet::kSysfs).push_back(covered);
        continue;
      }
      pieces_of(PieceSet::kProcfs).push_back(covered);
      if (!piece.target.starts_with(kNetworkSettings)) {
        pieces_of(PieceSet::kNestedProcfs).push_back(covered);
      }
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
    return build(TRY(plain_sysfs(target.net_fd, mount)), PieceSet::kSysfs);
  }

  Result<UniqueFd> procfs_context(const seccomp::TargetNamespaces& target) override {
    return fsopen_procfs_of(target.pid_fd);
  }
  Result<UniqueFd> sysfs_context(const seccomp::TargetNamespaces& target) override {
    return fsopen_sysfs_of(target.net_fd);
  }
  Result<UniqueFd> with_pieces(UniqueFd mount, const seccomp::TargetNamespaces& target) override;
  Result<UniqueFd> keep_locked_mounts(UniqueFd tree) override {
    const MountLocksmith* const locksmith = TRY(MountLocksmith::instance());
    return locksmith->without_unlocked(std::move(tree), device_.value_or(0));
  }
  Result<seccomp::TreeLook> look_at(UniqueFd tree) override {
    const MountLocksmith* const locksmith = TRY(MountLocksmith::instance());
    return locksmith->look_at(std::move(tree));
  }
  void keep_for_a_while(UniqueFd mount, seccomp::Keep what) override;
  bool is_kept(int place_fd) override;
  void has_attached(const seccomp::MountCensus& tree) override;
  bool is_as_attached(const seccomp::MountCensus& tree) override;
  void end_later(UniqueFd mount) override { BackgroundWork::instance().close(std::move(mount)); }

  bool is_piece_device(dev_t device) const override { return device == device_; }
  Result<UniqueFd> network_namespace() override { return facts_.network_namespace(); }
  Result<ino_t> mount_namespace() override { return facts_.mount_namespace(); }

  Result<seccomp::SystemInformation> system_information(pid_t tid_on_host) override {
    return facts_.system_information(tid_on_host);
  }
  Result<std::size_t> cpu_count(pid_t tid_on_host) override {
    return facts_.cpu_count(tid_on_host);
  }

 private:
  // Which procfs: whether it is for tasks in the container's own network namespace decides on the
  // pieces below /proc/sys/net.
  struct ProcfsKind {
    ino_t pid_namespace = 0;
    bool is_of_own_network = false;
    bool operator==(const ProcfsKind&) const = default;
  };
  // The last kind asked for, and, once it is asked for again, a tree for it to clone: attaching
  // the pieces to a new procfs is most of the work. What is cloned shares a superblock, as all
  // procfs mounts of a pid namespace did until Linux 5.8; the container's first procfs has its
  // own.
  struct Template {
    ProcfsKind kind;
    std::shared_ptr<CloneStock> tree;
  };
  struct Kit {
    std::vector<PieceKit::Part> parts;
    std::shared_ptr<CloneStock> clones;
  };

  Result<ProcfsKind> kind_of(const seccomp::TargetNamespaces& target);
  Result<UniqueFd> repeated_procfs(const seccomp::TargetNamespaces& target, const Template& known);
  Result<UniqueFd> procfs_of_processes(int pid_namespace_fd, const seccomp::NewMount& mount);
  Result<UniqueFd> equip(UniqueFd procfs, const ProcfsKind& kind, int net_namespace_fd);
  Result<UniqueFd> build(UniqueFd tree, PieceSet set);
  Result<UniqueFd> build_by_piece(UniqueFd tree, const std::vector<MountPiece>& pieces);
  void make_kit_later(PieceSet set);
  Result<void> make_kit(PieceSet set);
  void restock_later();
  Result<void> have_tree_adopted(MountLocksmith& locksmith);

  const std::shared_ptr<const ContainerIdentity> identity_;
  const std::shared_ptr<const EmulatedTree> tree_;
  const LiveFacts facts_;
  std::vector<MountPiece>& pieces_of(PieceSet set) { return pieces_[static_cast<size_t>(set)]; }
  std::shared_ptr<const Kit>& kit_of(PieceSet set) { return kits_[static_cast<size_t>(set)]; }

  std::array<std::vector<MountPiece>, 3> pieces_;
  std::optional<dev_t> device_;
  std::mutex mutex_;  // of what follows; not held while anything is built
  Template template_;
  std::array<std::shared_ptr<const Kit>, 3> kits_;
  std::deque<seccomp::MountCensus> attached_;
  MountLocksmith* adopted_by_ = nullptr;
  struct Kept {
    UniqueFd mount;
    Deadline until;
  };
  std::array<std::deque<Kept>, kMostKept.size()> kept_;
};

Result<UniqueFd> EmulatedMounts::procfs_with_pieces(const seccomp::TargetNamespaces& target,
                                                    const seccomp::NewMount& mount) {
  if (has_processes_only(mount.options)) return procfs_of_processes(target.pid_fd, mount);
  const ProcfsKind kind = TRY(kind_of(target));
  if (mount.options.empty() && mount.access_time == 0) {
    Template known;
    {
      const std::lock_guard lock(mutex_);
      known = template_;
      // A tree keeps its pid namespace and so the number; without a tree it may be another one,
      // which then gets its template at its first mount.
      if (known.kind != kind) template_ = Template{kind, nullptr};
    }
    if (known.kind == kind) return repeated_procfs(target, known);
  }
  OpenedProcfs procfs = TRY(open_procfs(target.pid_fd, mount));
  return equip(std::move(procfs.mount), kind, target.net_fd);
}

Result<EmulatedMounts::ProcfsKind> EmulatedMounts::kind_of(
    const seccomp::TargetNamespaces& target) {
  ProcfsKind kind;
  kind.pid_namespace = TRY(sys::fstat(target.pid_fd)).st_ino;
  const Result<UniqueFd> own = network_namespace();
  if (own.ok()) {
    const ino_t own_number = TRY(sys::fstat(own.value().get())).st_ino;
    kind.is_of_own_network = own_number == TRY(sys::fstat(target.net_fd)).st_ino;
  }
  return kind;
}

Result<UniqueFd> EmulatedMounts::equip(UniqueFd procfs, const ProcfsKind& kind,
                                       int net_namespace_fd) {
  if (!kind.is_of_own_network) return build(std::move(procfs), PieceSet::kNestedProcfs);
  return in_network_namespace(net_namespace_fd,
                              [&] { return build(std::move(procfs), PieceSet::kProcfs); });
}

// With subset=pid a procfs has no file that a piece could cover. A container must not get one
// without any: once mounted, it is a procfs that hides nothing, and then the kernel allows the
// container whole new ones that show the host (mnt_already_visible() in its fs/namespace.c). So
// one piece is attached first, which stays. Linux 7.2 tells the two kinds apart, and no longer
// lets the one become the other.
Result<UniqueFd> EmulatedMounts::procfs_of_processes(int pid_namespace_fd,
                                                     const seccomp::NewMount& mount) {
  const std::vector<MountPiece>& pieces = pieces_of(PieceSet::kProcfs);
  const auto anchor = std::find_if(pieces.begin(), pieces.end(),
                                   [](const MountPiece& piece) { return piece.target == kAnchor; });
  if (anchor == pieces.end()) return errno_error(EPERM, "no emulated ", kAnchor);
  const seccomp::NewMount whole{without_processes_only(mount.options), mount.access_time};
  OpenedProcfs procfs = TRY(open_procfs(pid_namespace_fd, whole));
  UniqueFd tree = TRY(build_by_piece(std::move(procfs.mount), {*anchor}));
  const Result<void> reduced = reduce_to_processes(procfs.context.get());
  if (reduced.ok()) return tree;
  if (reduced.error().code() != EINVAL) return reduced.error();
  return std::move(TRY(open_procfs(pid_namespace_fd, mount)).mount);
}

Result<UniqueFd> EmulatedMounts::with_pieces(UniqueFd mount,
                                             const seccomp::TargetNamespaces& target) {
  if (TRY(sys::fstatfs_type(mount.get())) == SYSFS_MAGIC) {
    return build(std::move(mount), PieceSet::kSysfs);
  }
  if (::faccessat(mount.get(), kAnchor, F_OK, 0) == 0) {
    return equip(std::move(mount), TRY(kind_of(target)), target.net_fd);
  }
  // Whose processes it shows was decided by who opened the context, maybe another task.
  const Result<UniqueFd> opened = sys::openat(mount.get(), "1/ns/pid", O_RDONLY);
  const int pid_namespace = opened.ok() ? opened.value().get() : target.pid_fd;
  const unsigned access_time = TRY(access_time_of(mount.get()));
  const MountLocksmith* const locksmith = TRY(MountLocksmith::instance());
  const std::string options = TRY(locksmith->options_of(std::move(mount)));
  return procfs_of_processes(pid_namespace, {procfs_options_of(options), access_time});
}

// Not by a timer: what is left is bounded, and goes with the next one or the container.
void EmulatedMounts::keep_for_a_while(UniqueFd mount, seccomp::Keep what) {
  const auto kind = static_cast<std::size_t>(what);
  const Deadline now = after(std::chrono::milliseconds(0));
  std::vector<Kept> gone;
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < kept_.size(); ++i) {
      const std::size_t most = kMostKept[i] - (i == kind ? 1 : 0);
      while (!kept_[i].empty() && (kept_[i].size() > most || kept_[i].front().until <= now)) {
        gone.push_back(std::move(kept_[i].front()));
        kept_[i].pop_front();
      }
    }
    kept_[kind].push_back({std::move(mount), now + kKeptFor});
  }
  for (Kept& kept : gone) end_later(std::move(kept.mount));
  restock_later();
}

bool EmulatedMounts::is_kept(int place_fd) {
  const Result<seccomp::Place> place = seccomp::describe_place(place_fd);
  if (!place.ok()) return false;
  const auto is_it = [&](const Kept& kept) {
    const Result<seccomp::Place> other = seccomp::describe_place(kept.mount.get());
    return other.ok() && other.value().mount_id == place.value().mount_id;
  };
  const std::lock_guard lock(mutex_);
  return std::any_of(kept_.begin(), kept_.end(), [&](const std::deque<Kept>& kept) {
    return std::any_of(kept.begin(), kept.end(), is_it);
  });
}

Result<UniqueFd> EmulatedMounts::repeated_procfs(const seccomp::TargetNamespaces& target,
                                                 const Template& known) {
  std::shared_ptr<CloneStock> tree = known.tree;
  if (!tree) {
    OpenedProcfs procfs = TRY(open_procfs(target.pid_fd, {}));
    UniqueFd built = TRY(equip(std::move(procfs.mount), known.kind, target.net_fd));
    if (!kernel_abilities().clone_detached) return built;
    const MountLocksmith* const locksmith = TRY(MountLocksmith::instance());
    tree = std::make_shared<CloneStock>(
        std::move(built), [locksmith](int locked) { return locksmith->clone(locked); });
    const std::lock_guard lock(mutex_);
    if (template_.kind == known.kind) template_.tree = tree;
  }
  Result<UniqueFd> clone = tree->take();
  if (clone.ok() || clone.error().code() != EINVAL) return clone;
  kernel_abilities().clone_detached = false;
  {
    const std::lock_guard lock(mutex_);
    template_ = Template{};
  }
  OpenedProcfs procfs = TRY(open_procfs(target.pid_fd, {}));
  return equip(std::move(procfs.mount), known.kind, target.net_fd);
}

Result<UniqueFd> EmulatedMounts::build(UniqueFd tree, PieceSet set) {
  std::shared_ptr<const Kit> kit;
  {
    const std::lock_guard lock(mutex_);
    kit = kit_of(set);
  }
  if (kit) {
    const MountLocksmith* const locksmith = TRY(MountLocksmith::instance());
    return locksmith->lock_with(TRY(kit->clones->take()), kit->parts, std::move(tree));
  }
  UniqueFd built = TRY(build_by_piece(std::move(tree), pieces_of(set)));
  if (kernel_abilities().attach_to_detached && kernel_abilities().clone_detached) {
    make_kit_later(set);
  }
  return built;
}

// For the ones after the first.
void EmulatedMounts::make_kit_later(PieceSet set) {
  static_cast<void>(
      BackgroundWork::instance().add([weak = weak_from_this(), set]() -> Result<void> {
        const std::shared_ptr<EmulatedMounts> mounts = weak.lock();
        return mounts ? mounts->make_kit(set) : Result<void>();
      }));
}

Result<void> EmulatedMounts::make_kit(PieceSet set) {
  {
    const std::lock_guard lock(mutex_);
    if (kit_of(set)) return {};
  }
  const MountLocksmith* const locksmith = TRY(MountLocksmith::instance());
  PieceKit made = TRY(locksmith->make_kit(pieces_of(set)).in("pieces of a container"));
  const auto clones = std::make_shared<CloneStock>(
      std::move(made.tree), [locksmith](int kit) { return locksmith->clone_kit(kit); });
  const std::lock_guard lock(mutex_);
  kit_of(set) = std::make_shared<const Kit>(Kit{std::move(made.parts), clones});
  return {};
}

void EmulatedMounts::restock_later() {
  std::vector<std::shared_ptr<CloneStock>> stocks;
  {
    const std::lock_guard lock(mutex_);
    if (template_.tree) stocks.push_back(template_.tree);
    for (const std::shared_ptr<const Kit>& kit : kits_) {
      if (kit) stocks.push_back(kit->clones);
    }
  }
  for (const std::shared_ptr<CloneStock>& stock : stocks) stock->restock_later();
}

void EmulatedMounts::has_attached(const seccomp::MountCensus& tree) {
  {
    const std::lock_guard lock(mutex_);
    if (attached_.size() >= kMostAttached) attached_.pop_front();
    attached_.push_back(tree);
  }
  restock_later();
}

bool EmulatedMounts::is_as_attached(const seccomp::MountCensus& tree) {
  const std::lock_guard lock(mutex_);
  return std::find(attached_.begin(), attached_.end(), tree) != attached_.end();
}

Result<UniqueFd> EmulatedMounts::build_by_piece(UniqueFd tree,
                                                const std::vector<MountPiece>& pieces) {
  MountLocksmith* const locksmith = TRY(MountLocksmith::instance());
  if (kernel_abilities().attach_to_detached) {
    const Result<void> attached = attach_pieces(tree.get(), pieces);
    if (attached.ok()) return locksmith->lock(std::move(tree));
    if (attached.error().code() != EINVAL) return attached.error();
    kernel_abilities().attach_to_detached = false;
  }
  TRY(have_tree_adopted(*locksmith));
  const int mount = tree.get();
  return locksmith->lock(std::move(tree), [&] { return attach_pieces(mount, pieces); });
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
    LiveFacts facts) {
  return std::make_shared<EmulatedMounts>(std::move(identity), std::move(tree), std::move(facts));
}

}  // namespace sysbox::fs

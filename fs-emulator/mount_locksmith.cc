#include "fs-emulator/mount_locksmith.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <array>
#include <mutex>
#include <thread>

#include "common/mount_info.h"
#include "common/root_dir.h"
#include "common/short_lived_task.h"
#include "common/syscalls.h"
#include "fs-emulator/background_work.h"
#include "seccomp-notify/mount_numbers.h"
#include "seccomp-notify/visitor.h"

namespace sysbox::fs {
namespace {

constexpr unsigned kCloneTree = OPEN_TREE_CLONE | AT_RECURSIVE;
constexpr const char* kPrivateArea = "/private";

constexpr const char* kKitArea = "/private/kit";
constexpr const char* kForFile = "-file";  // a bench's private place for what is no directory
constexpr const char* kKitPlaces = "/private/places";
constexpr int kMostBenches = 256;  // to look at, of an earlier process

struct MirrorRequest {
  int proc_fd;
  int mirror_fd;
};

int open_own_mount_namespace(void* argument) {
  auto* request = static_cast<MirrorRequest*>(argument);
  request->mirror_fd = ::openat(request->proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
  return 0;
}

// The child is born in a new user namespace and, owned by that, a copy of the calling thread's
// mount namespace. After its end only the descriptor keeps them alive.
Result<UniqueFd> make_mirror(int proc_fd) {
  MirrorRequest request{proc_fd, -1};
  TRY(run_short_lived_task(CLONE_NEWUSER | CLONE_NEWNS, open_own_mount_namespace, &request));
  if (request.mirror_fd < 0) return errno_error(EIO, "open the new mount namespace");
  return UniqueFd(request.mirror_fd);
}

// No two file systems have the same device. Without asking one: this process may serve it.
Result<std::string> place_of_adopted(int tree) {
  struct statx stx {};
  if (::statx(tree, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &stx) != 0) {
    return last_error("statx of a mount");
  }
  return join(kPrivateArea, "/tree-", stx.stx_dev_major, "-", stx.stx_dev_minor);
}

// Runs in the workshop.
Result<void> make_directory(const std::string& path) {
  const Result<void> made = sys::mkdirat(AT_FDCWD, path, 0700);
  if (!made.ok() && made.error().code() != EEXIST) return made;
  return {};
}

// Whether a mount covers a directory. Without asking its file system, see above.
Result<bool> is_directory(int mount_fd) {
  return TRY(seccomp::describe_place(mount_fd)).may_be_directory;
}

Result<void> make_file(const std::string& path) {
  const Result<void> made = sys::mknodat(AT_FDCWD, path, S_IFREG | 0600, 0);
  if (!made.ok() && made.error().code() != EEXIST) return made;
  return {};
}

Result<seccomp::TreeLook> look_at_attached(int mount_fd) {
  const std::optional<std::uint64_t> number = seccomp::unique_mount_id(mount_fd);
  if (!number) return errno_error(ENOSYS, "number of a mount");
  seccomp::TreeLook look;
  look.maps = TRY(seccomp::read_mount_id_maps(*number));
  look.has_mounts_on_it = TRY(seccomp::has_any_mount(*number));
  return look;
}

// The place of a part of a kit.
Result<std::string> make_kit_place(std::size_t number, bool is_for_directory) {
  std::string name = (is_for_directory ? "d" : "f") + std::to_string(number);
  const std::string path = join(kKitPlaces, "/", name);
  if (is_for_directory) {
    TRY(make_directory(path));
    return name;
  }
  TRY(make_file(path));
  return name;
}

}  // namespace

// What one call works on in the workshop, so that none waits for another: a directory "/3" in the
// shared area, one in the private area, and one for a kit.
class MountLocksmith::Bench {
 public:
  explicit Bench(const MountLocksmith& owner) : owner_(owner) {
    const std::lock_guard lock(owner.mutex_);
    if (owner.free_benches_.empty()) {
      number_ = owner.benches_++;
      return;
    }
    is_made_ = true;
    number_ = owner.free_benches_.back();
    owner.free_benches_.pop_back();
  }
  ~Bench() {
    const std::lock_guard lock(owner_.mutex_);
    if (is_made_ && !is_in_use_) owner_.free_benches_.push_back(number_);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  // Runs in the workshop, before all else.
  Result<void> make() {
    if (is_made_) return {};
    for (const std::string& place : places()) TRY(make_directory(place));
    is_made_ = true;
    return {};
  }
  // Until it has been cleared nobody else gets it.
  void begin_use() { is_in_use_ = true; }
  void end_use() { is_in_use_ = false; }

  std::string shared_place() const { return join("/", number_); }
  std::string private_place() const { return join(kPrivateArea, "/", number_); }
  std::string kit_place() const { return join(kKitArea, number_); }
  std::array<std::string, 3> places() const {
    return {shared_place(), private_place(), kit_place()};
  }

 private:
  const MountLocksmith& owner_;
  int number_ = 0;
  bool is_made_ = false;
  bool is_in_use_ = false;
};

MountLocksmith::~MountLocksmith() { BackgroundWork::instance().finish(); }

template <typename Steps>
auto MountLocksmith::away_from_home(Steps steps) const -> decltype(steps()) {
  auto done = steps();
  const Result<void> home = sys::setns(host_.get(), CLONE_NEWNS);
  if (!home.ok()) {
    return errno_error(ENOTRECOVERABLE, "return to the host: ", home.error().message());
  }
  return done;
}

// Leaves a namespace that holds an empty tmpfs and nothing of the host.
Result<void> MountLocksmith::furnish_workshop() {
  TRY(sys::unshare(CLONE_NEWNS));
  workshop_ = TRY(sys::openat(proc_.get(), "thread-self/ns/mnt", O_RDONLY));
  TRY(sys::mount("", "/", "", MS_REC | MS_PRIVATE, ""));
  // Any directory will do as the new root's place; this copy of the mounts is ours alone.
  TRY(sys::mount("tmpfs", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700"));
  const UniqueFd root = TRY(sys::open("/proc", O_PATH | O_DIRECTORY));
  TRY(sys::fchdir(root.get()));
  TRY(sys::pivot_root(".", "."));
  TRY(sys::umount(".", MNT_DETACH));
  TRY(sys::setns(workshop_.get(), CLONE_NEWNS));  // and with it to the new root
  TRY(sys::mkdirat(AT_FDCWD, kPrivateArea, 0700));
  TRY(sys::mount("tmpfs", kPrivateArea, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700"));
  return sys::mount("", "/", "", MS_SHARED, "");
}

Result<std::unique_ptr<MountLocksmith>> MountLocksmith::start() {
  std::unique_ptr<MountLocksmith> locksmith(new MountLocksmith());
  locksmith->proc_ = TRY(sys::open("/proc", O_PATH | O_DIRECTORY));
  const int proc = locksmith->proc_.get();
  locksmith->host_ = TRY(sys::openat(proc, "thread-self/ns/mnt", O_RDONLY));
  const Result<void> furnished = locksmith->away_from_home([&]() -> Result<void> {
    TRY(locksmith->furnish_workshop());
    locksmith->mirror_ = TRY(make_mirror(proc));
    return {};
  });
  if (!furnished.ok()) return Error(furnished.error()).in("workshop for mounts");
  return locksmith;
}

MountLocksmith*& MountLocksmith::only_one() {
  static MountLocksmith* locksmith = nullptr;  // never deleted: threads use it until the end
  return locksmith;
}

std::mutex& MountLocksmith::only_one_mutex() {
  static std::mutex mutex;
  return mutex;
}

Result<MountLocksmith*> MountLocksmith::instance() {
  const std::lock_guard lock(only_one_mutex());
  if (only_one() == nullptr) only_one() = TRY(start()).release();
  return only_one();
}

Result<void> MountLocksmith::inherit(UniqueFd workshop, UniqueFd mirror) {
  std::unique_ptr<MountLocksmith> locksmith(new MountLocksmith());
  locksmith->proc_ = TRY(sys::open("/proc", O_PATH | O_DIRECTORY));
  locksmith->host_ = TRY(sys::open("/proc/thread-self/ns/mnt", O_RDONLY));
  locksmith->workshop_ = std::move(workshop);
  locksmith->mirror_ = std::move(mirror);
  // What lay on the benches belonged to nobody's call.
  Result<void> cleared;
  std::thread([&] { cleared = locksmith->clear_benches(); }).join();
  TRY(std::move(cleared));
  const std::lock_guard lock(only_one_mutex());
  if (only_one() != nullptr) return errno_error(EBUSY, "workshop for mounts");
  only_one() = locksmith.release();
  return {};
}

Result<void> MountLocksmith::clear_benches() const {
  TRY(sys::unshare(CLONE_FS));
  return away_from_home([&]() -> Result<void> {
    TRY(sys::setns(workshop_.get(), CLONE_NEWNS));
    for (int number = 0; number < kMostBenches; ++number) {
      for (const std::string& place :
           {join("/", number), join(kPrivateArea, "/", number), join(kKitArea, number),
            join(kPrivateArea, "/", number, kForFile)}) {
        while (::umount2(place.c_str(), MNT_DETACH) == 0) {
        }
      }
    }
    return {};
  });
}

// Runs in the workshop.
Result<void> MountLocksmith::clear(const Bench& bench) const {
  for (const std::string& place : bench.places()) {
    // EINVAL: nothing is there (any more).
    Result<void> gone;
    while (gone.ok()) gone = sys::umount(place, MNT_DETACH);  // takes the mirror's copy along
    if (gone.error().code() != EINVAL) return gone;
  }
  return {};
}

// That takes as long as all the rest, and nobody needs it.
Result<void> MountLocksmith::clear_later(const std::shared_ptr<Bench>& bench) const {
  const auto clear_it = [this, bench]() -> Result<void> {
    const Result<void> cleared = away_from_home([&]() -> Result<void> {
      TRY(sys::setns(workshop_.get(), CLONE_NEWNS));
      return clear(*bench);
    });
    if (cleared.ok()) bench->end_use();
    return cleared;
  };
  return BackgroundWork::instance().add(clear_it) ? Result<void>() : clear_it();
}

Result<UniqueFd> MountLocksmith::lock(UniqueFd tree, const Assemble& assemble) const {
  const auto bench = std::make_shared<Bench>(*this);
  bench->begin_use();
  Result<UniqueFd> locked = away_from_home([&]() -> Result<UniqueFd> {
    TRY(sys::setns(workshop_.get(), CLONE_NEWNS));
    TRY(bench->make());
    if (assemble) {
      TRY(sys::move_mount(tree.get(), "", AT_FDCWD, bench->private_place()));
      TRY(assemble());
    }
    return lock_on(*bench, tree.get());
  });
  TRY(clear_later(bench));
  return locked;
}

// Runs in the workshop, and ends in the mirror.
Result<UniqueFd> MountLocksmith::lock_on(const Bench& bench, int tree) const {
  TRY(sys::move_mount(tree, "", AT_FDCWD, bench.shared_place()));
  TRY(sys::setns(mirror_.get(), CLONE_NEWNS));
  UniqueFd locked = TRY(sys::open_tree(AT_FDCWD, bench.shared_place(), kCloneTree));
  // It hears no more of what becomes of the one on the bench.
  sys::MountAttributes independent;
  independent.propagation = MS_PRIVATE;
  TRY(sys::mount_setattr(locked.get(), "", AT_RECURSIVE, independent));
  return locked;
}

Result<UniqueFd> MountLocksmith::lock_with(UniqueFd kit, const std::vector<PieceKit::Part>& parts,
                                           UniqueFd tree) const {
  const auto bench = std::make_shared<Bench>(*this);
  bench->begin_use();
  Result<UniqueFd> locked = away_from_home([&]() -> Result<UniqueFd> {
    TRY(sys::setns(workshop_.get(), CLONE_NEWNS));
    TRY(bench->make());
    // From one place to another it goes only in one namespace.
    TRY(sys::move_mount(tree.get(), "", AT_FDCWD, bench->private_place()));
    TRY(sys::move_mount(kit.get(), "", AT_FDCWD, bench->kit_place()));
    for (const PieceKit::Part& part : parts) {
      const Result<void> moved = sys::move_mount(kit.get(), part.place, tree.get(), part.target);
      if (moved.ok() || moved.error().code() == ENOENT || moved.error().code() == ENOTDIR) continue;
      return Error(moved.error()).in(part.target);
    }
    return lock_on(*bench, tree.get());
  });
  TRY(clear_later(bench));
  return locked;
}

Result<PieceKit> MountLocksmith::make_kit(const std::vector<MountPiece>& pieces) const {
  return away_from_home([&]() -> Result<PieceKit> {
    TRY(sys::setns(workshop_.get(), CLONE_NEWNS));
    TRY(make_directory(kKitPlaces));
    PieceKit kit;
    kit.tree = TRY(sys::open_tree(AT_FDCWD, kKitPlaces, OPEN_TREE_CLONE));
    for (const MountPiece& piece : pieces) {
      const UniqueFd clone =
          TRY(sys::open_tree(piece.source_fd, piece.source, OPEN_TREE_CLONE | AT_SYMLINK_NOFOLLOW));
      const bool is_for_directory = TRY(is_directory(clone.get()));
      std::string place = TRY(make_kit_place(kit.parts.size(), is_for_directory));
      TRY(sys::move_mount(clone.get(), "", kit.tree.get(), place));
      kit.parts.push_back({std::move(place), piece.target});
    }
    return kit;
  });
}

Result<UniqueFd> MountLocksmith::clone_kit(int kit) const {
  return away_from_home([&]() -> Result<UniqueFd> {
    TRY(sys::setns(workshop_.get(), CLONE_NEWNS));
    return sys::open_tree(kit, "", kCloneTree);
  });
}

Result<UniqueFd> MountLocksmith::clone(int locked_tree) const {
  return away_from_home([&]() -> Result<UniqueFd> {
    // The kernel clones a detached tree only in the namespace that it was detached in.
    TRY(sys::setns(mirror_.get(), CLONE_NEWNS));
    return sys::open_tree(locked_tree, "", kCloneTree);
  });
}

Result<std::string> MountLocksmith::options_of(UniqueFd tree) const {
  Bench bench(*this);
  return away_from_home([&]() -> Result<std::string> {
    TRY(sys::setns(workshop_.get(), CLONE_NEWNS));
    TRY(bench.make());
    const std::string place = bench.private_place();
    TRY(sys::move_mount(tree.get(), "", AT_FDCWD, place));
    Result<std::string> read = sys::read_file_at(proc_.get(), "thread-self/mountinfo");
    TRY(sys::umount(place, MNT_DETACH));
    const std::string text = TRY(std::move(read));
    const std::vector<MountInfo> mounts = TRY(parse_mount_info(text));
    for (const MountInfo& mount : mounts) {
      if (mount.target == place) return mount.superblock_options;
    }
    return errno_error(ENOENT, "options of a mount");
  });
}

Result<seccomp::TreeLook> MountLocksmith::look_at(UniqueFd tree) const {
  // What the container mounts on its peers comes along, and must not go with this one.
  sys::MountAttributes independent;
  independent.propagation = MS_PRIVATE;
  TRY(sys::mount_setattr(tree.get(), "", AT_RECURSIVE, independent));
  Bench bench(*this);
  return away_from_home([&]() -> Result<seccomp::TreeLook> {
    TRY(sys::setns(workshop_.get(), CLONE_NEWNS));
    TRY(bench.make());
    std::string place = bench.private_place();
    if (!TRY(is_directory(tree.get()))) {
      place += kForFile;
      TRY(make_file(place));
    }
    TRY(sys::move_mount(tree.get(), "", AT_FDCWD, place));
    Result<seccomp::TreeLook> found = look_at_attached(tree.get());
    TRY(sys::umount(place, MNT_DETACH));
    return found;
  });
}

// Runs in the workshop. What the kernel refuses to take off is locked.
Result<void> MountLocksmith::drop_unlocked(const std::string& place, dev_t pieces) const {
  const UniqueFd root = TRY(sys::open(place, O_PATH | O_DIRECTORY));
  const UniqueFd descriptors = TRY(sys::openat(proc_.get(), "thread-self/fd", O_PATH));
  const std::string text = TRY(sys::read_file_at(proc_.get(), "thread-self/mountinfo"));
  const std::vector<MountInfo> mounts = TRY(parse_mount_info(text));
  TRY(sys::fchdir(descriptors.get()));
  for (const MountInfo& mount : mounts) {
    if (!is_same_or_below(mount.target, place) || mount.target == place) continue;
    // Below /proc/sys/net a name that is looked up from another network gets an entry of its own,
    // which from then on comes before the one that the piece lies on.
    if (seccomp::device_number(mount) == pieces) continue;
    // Again and again: several may lie on one another.
    for (Result<void> gone; gone.ok();) {
      const Result<UniqueFd> covered =
          sys::openat2(root.get(), mount.target.substr(place.size() + 1), O_PATH | O_NOFOLLOW,
                       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
      if (!covered.ok()) break;
      gone = sys::umount(std::to_string(covered.value().get()), MNT_DETACH);
      if (!gone.ok() && gone.error().code() != EINVAL) return gone;
    }
  }
  return {};
}

Result<UniqueFd> MountLocksmith::without_unlocked(UniqueFd tree, dev_t pieces) const {
  // The tree and what it was cloned from may be peers, and lose their mounts together.
  sys::MountAttributes slave;
  slave.propagation = MS_SLAVE;
  TRY(sys::mount_setattr(tree.get(), "", AT_RECURSIVE, slave));
  Bench bench(*this);
  return away_from_home([&]() -> Result<UniqueFd> {
    TRY(sys::setns(workshop_.get(), CLONE_NEWNS));
    TRY(bench.make());
    const std::string place = bench.private_place();
    TRY(sys::move_mount(tree.get(), "", AT_FDCWD, place));
    Result<void> dropped = drop_unlocked(place, pieces);
    Result<UniqueFd> rest = dropped.ok() ? sys::open_tree(AT_FDCWD, place, kCloneTree)
                                         : Result<UniqueFd>(dropped.error());
    TRY(sys::umount(place, MNT_DETACH));
    return rest;
  });
}

Result<std::pair<UniqueFd, UniqueFd>> MountLocksmith::two_of(UniqueFd tree) const {
  Result<UniqueFd> copy = sys::open_tree(tree.get(), "", OPEN_TREE_CLONE);
  if (copy.ok()) return std::pair(std::move(tree), std::move(copy).value());
  // Before 6.15 only what is attached can be cloned.
  Bench bench(*this);
  return away_from_home([&]() -> Result<std::pair<UniqueFd, UniqueFd>> {
    TRY(sys::setns(workshop_.get(), CLONE_NEWNS));
    TRY(bench.make());
    const std::string place = bench.private_place();
    TRY(sys::move_mount(tree.get(), "", AT_FDCWD, place));
    Result<UniqueFd> one = sys::open_tree(AT_FDCWD, place, OPEN_TREE_CLONE);
    Result<UniqueFd> other = sys::open_tree(AT_FDCWD, place, OPEN_TREE_CLONE);
    TRY(sys::umount(place, MNT_DETACH));
    UniqueFd first = TRY(std::move(one));
    UniqueFd second = TRY(std::move(other));
    return std::pair(std::move(first), std::move(second));
  });
}

Result<void> MountLocksmith::adopt(int tree) const {
  return away_from_home([&]() -> Result<void> {
    TRY(sys::setns(workshop_.get(), CLONE_NEWNS));
    const std::string place = TRY(place_of_adopted(tree));
    const Result<void> made = sys::mkdirat(AT_FDCWD, place, 0700);
    const bool was_there = !made.ok() && made.error().code() == EEXIST;
    if (!made.ok() && !was_there) return made;
    const Result<void> moved = sys::move_mount(tree, "", AT_FDCWD, place);
    // An earlier process has brought it: it cannot be put on itself.
    if (was_there && !moved.ok() && moved.error().code() == ELOOP) return {};
    return moved;
  });
}

Result<void> MountLocksmith::disown(int tree) const {
  return away_from_home([&]() -> Result<void> {
    TRY(sys::setns(workshop_.get(), CLONE_NEWNS));
    const std::string place = TRY(place_of_adopted(tree));
    TRY(sys::umount(place, MNT_DETACH));
    return sys::unlinkat(AT_FDCWD, place, AT_REMOVEDIR);
  });
}

}  // namespace sysbox::fs

#include "runc-ext/init/device_nodes.h"

#include <sys/sysmacros.h>

#include <array>

#include "common/root_dir.h"
#include "common/syscalls.h"
#include "runc-ext/init/kernel_filesystems.h"
#include "runc-ext/init/mount_points.h"

namespace sysbox::runc {
namespace {

struct Node {
  const char* path;  // below /dev
  mode_t mode;
  unsigned major;
  unsigned minor;
};
// Numbers: Documentation/admin-guide/devices.txt of the kernel.
constexpr std::array kNodes = {
    Node{"null", 0666, 1, 3},
    Node{"zero", 0666, 1, 5},
    Node{"full", 0666, 1, 7},
    Node{"random", 0666, 1, 8},
    Node{"urandom", 0666, 1, 9},
    Node{"tty", 0666, 5, 0},
    Node{"fuse", 0666, 10, 229},
    Node{"net/tun", 0666, 10, 200},
    // The host's kernel log is no tenant's business; what opens it for reading finds it empty.
    Node{"kmsg", 0644, 1, 3},
};

struct Link {
  const char* path;
  const char* target;
};
// config-linux.md#default-devices, runtime-linux.md#dev-symbolic-links
constexpr std::array kLinks = {
    Link{"ptmx", "pts/ptmx"},          Link{"fd", "/proc/self/fd"},
    Link{"stdin", "/proc/self/fd/0"},  Link{"stdout", "/proc/self/fd/1"},
    Link{"stderr", "/proc/self/fd/2"}, Link{"core", "/proc/kcore"},
};

// The node's parent directory, made if missing, and its own name.
Result<std::pair<UniqueFd, std::string>> parent_and_name(const RootDir& dev,
                                                         const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "/" : path.substr(0, slash);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  return std::pair(TRY(dev.make_directories(parent)), name);
}

Result<void> make_node(const RootDir& dev, const std::string& path, mode_t mode, dev_t device) {
  const auto [parent, name] = TRY(parent_and_name(dev, path));
  const Result<void> gone = sys::unlinkat(parent.get(), name);
  static_cast<void>(gone.ok());  // only there if the spec replaces a standard node
  return sys::mknodat(parent.get(), name, mode, device);
}

mode_t file_type(const OciDevice& device) {
  if (device.type == 'b') return S_IFBLK;
  return device.type == 'p' ? S_IFIFO : S_IFCHR;
}

// `path`: below `directory`.
Result<void> make_spec_device(const RootDir& directory, const BirthPlan& plan,
                              const OciDevice& device, const std::string& path) {
  const mode_t mode = device.file_mode.value_or(0666) & 07777U;
  TRY(make_node(directory, path, file_type(device) | mode, device.device));
  const auto uid = plan.spec.linux_part.uid_mappings.to_host(device.uid.value_or(0));
  const auto gid = plan.spec.linux_part.gid_mappings.to_host(device.gid.value_or(0));
  const auto [parent, name] = TRY(parent_and_name(directory, path));
  return sys::fchownat(parent.get(), name, uid.value_or(plan.root_uid), gid.value_or(plan.root_gid),
                       AT_SYMLINK_NOFOLLOW);
}

bool is_below_dev(const OciDevice& device) { return is_same_or_below(device.path, "/dev"); }

// /dev/ptmx is the one of the container's own devpts, whatever engines list.
Result<void> fill_dev(const RootDir& dev, const BirthPlan& plan) {
  for (const Node& node : kNodes) {
    TRY(make_node(dev, node.path, S_IFCHR | node.mode, makedev(node.major, node.minor)));
  }
  for (const OciDevice& device : plan.spec.linux_part.devices) {
    if (!is_below_dev(device) || device.path == "/dev/ptmx") continue;
    const std::string path = device.path.substr(sizeof "/dev/" - 1);
    TRY(make_spec_device(dev, plan, device, path).in(device.path));
  }
  for (const Link& link : kLinks) {
    const Result<void> made = sys::symlinkat(link.target, dev.fd(), link.path);
    if (!made.ok() && made.error().code() != EEXIST) return made;  // a device of the spec's stays
  }
  return {};
}

// The calling process's umask, for as long as this lives.
class Umask {
 public:
  explicit Umask(mode_t mask) : before_(::umask(mask)) {}
  ~Umask() { ::umask(before_); }
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;

 private:
  mode_t before_;
};

}  // namespace

Result<UniqueFd> make_dev(const BirthPlan& plan, const OciMount& mount) {
  OciMount tmpfs = mount;
  tmpfs.source = "tmpfs";
  UniqueFd mounted =
      TRY(new_filesystem(tmpfs, {join("uid=", plan.root_uid), join("gid=", plan.root_gid)}));
  const RootDir dev(TRY(sys::open_tree(mounted.get(), "", 0)));
  const Umask none(0);
  TRY(fill_dev(dev, plan).in("/dev"));
  return mounted;
}

Result<UniqueFd> make_device_store(const BirthPlan& plan) {
  OciMount tmpfs;
  tmpfs.type = "tmpfs";
  tmpfs.source = "tmpfs";
  tmpfs.data = {"mode=700"};
  tmpfs.attributes_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  UniqueFd mounted;
  const Umask none(0);
  for (std::size_t i = 0; i < plan.spec.linux_part.devices.size(); ++i) {
    const OciDevice& device = plan.spec.linux_part.devices[i];
    if (is_below_dev(device)) continue;
    if (!mounted) mounted = TRY(new_filesystem(tmpfs));
    const RootDir store(TRY(sys::open_tree(mounted.get(), "", 0)));
    TRY(make_spec_device(store, plan, device, std::to_string(i)).in(device.path));
  }
  return mounted;
}

Result<void> attach_devices(const BirthPlan& plan, const RootDir& root, int store_fd) {
  for (std::size_t i = 0; i < plan.spec.linux_part.devices.size(); ++i) {
    const OciDevice& device = plan.spec.linux_part.devices[i];
    if (is_below_dev(device)) continue;
    const UniqueFd node = TRY(sys::open_tree(store_fd, std::to_string(i), OPEN_TREE_CLONE));
    TRY(attach_inside(root, device.path, node.get()).in(join("linux.devices '", device.path, "'")));
  }
  return {};
}

}  // namespace sysbox::runc

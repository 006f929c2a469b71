#include "fs-emulator/nodes.h"

#include <fcntl.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "common/directory_entries.h"
#include "common/syscalls.h"
#include "fs-emulator/emulated_file.h"
#include "fs-emulator/host_hardware.h"
#include "fs-emulator/namespaced_settings.h"
#include "fs-emulator/sysctl.h"

namespace sysbox::fs {
namespace {

// Lies over every directory that host_hardware.h finds.
constexpr const char* kEmptyDirectory = "empty-directory";

std::string node_name(std::string_view path) {
  std::string name(path.substr(1));
  std::replace(name.begin(), name.end(), '/', ':');
  return name;
}

// Whether the running kernel has the file; a directory of ours is to hold no more than its own.
bool kernel_has(std::string_view path) {
  return sys::fstatat(AT_FDCWD, std::string(path), AT_SYMLINK_NOFOLLOW).ok();
}

std::set<std::string> names_in(std::string_view directory) {
  std::set<std::string> names;
  const Result<UniqueFd> opened = sys::open(std::string(directory), O_RDONLY | O_DIRECTORY);
  if (!opened.ok()) return names;  // not in this kernel
  static_cast<void>(for_each_entry(opened.value().get(), [&names](const dirent& entry) {
    names.insert(entry.d_name);
    return Result<void>();
  }));
  return names;
}

// 31 bits: stat(2) of a 32-bit program knows no more.
fuse_ino_t number_of(std::string_view name, fuse_ino_t parent) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char byte : join(parent, "/", name)) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  }
  return (hash ^ (hash >> 32U)) & 0x7fffffffU;
}

class NodeTable {
 public:
  std::vector<Node> make() {
    add_directories();
    add_sysctls();
    add_masks();
    add_files();
    add_host_files();
    add({0, kEmptyDirectory, "", NodeKind::kEmptyDirectory, S_IFDIR | 0555U, 0});
    if (directories_.contains("/sys/devices/system/cpu")) {
      add_place(MachinePlace::kCpus, 0, directories_["/sys/devices/system/cpu"]);
    }
    if (directories_.contains("/sys/devices/system/node")) {
      add_place(MachinePlace::kNodes, 0, directories_["/sys/devices/system/node"]);
    }
    return std::move(nodes_);
  }

 private:
  fuse_ino_t add(Node node) {
    node.inode = number_of(node.name, node.parent);
    while (!used_.insert(node.inode).second) ++node.inode;
    nodes_.push_back(std::move(node));
    return nodes_.back().inode;
  }

  void add_sysctls() {
    for (std::size_t row = 0; row < sysctls().size(); ++row) {
      const Sysctl& sysctl = sysctls()[row];
      const NodeKind kind =
          sysctl.policy == SysctlPolicy::UtsName ? NodeKind::kUtsName : NodeKind::kSysctl;
      add_at_its_place({0, node_name(sysctl.path), sysctl.path, kind, S_IFREG | sysctl.mode, row});
    }
  }

  // In the root, or in the directory of ours that its path names.
  void add_at_its_place(Node node) {
    const std::size_t slash = node.path.rfind('/');
    const auto directory = directories_.find(node.path.substr(0, slash));
    if (directory != directories_.end()) {
      if (!kernel_has(node.path)) return;
      node.name = node.path.substr(slash + 1);
      node.parent = directory->second;
      known_.emplace(node.path);
    }
    add(std::move(node));
  }

  // A directory of settings has all files that the kernel has there.
  void add_host_files() {
    for (std::size_t row = 0; row < emulated_directories().size(); ++row) {
      const std::string_view path = emulated_directories()[row].path;
      if (!path.starts_with("/proc/sys/")) continue;
      for (const std::string& name : names_in(path)) {
        const std::string file = join(path, "/", name);
        if (known_.contains(file)) continue;
        const Result<struct stat> found = sys::fstatat(AT_FDCWD, file);
        if (!found.ok() || !S_ISREG(found.value().st_mode)) continue;
        add({0, name, "", NodeKind::kHostFile, found.value().st_mode, row, directories_[path]});
      }
    }
  }

  void add_masks() {
    for (std::size_t row = 0; row < masked_paths().size(); ++row) {
      const MaskedPath& mask = masked_paths()[row];
      add({0, node_name(mask.path), mask.path, NodeKind::kEmptyDirectory, S_IFDIR | 0555U, row});
    }
  }

  void add_directories() {
    for (std::size_t row = 0; row < emulated_directories().size(); ++row) {
      const std::string_view path = emulated_directories()[row].path;
      directories_[path] =
          add({0, node_name(path), path, NodeKind::kDirectory, S_IFDIR | 0555U, row});
    }
  }

  void add_files() {
    for (std::size_t row = 0; row < emulated_files().size(); ++row) {
      const EmulatedFile& file = emulated_files()[row];
      add_at_its_place(
          {0, node_name(file.path), file.path, NodeKind::kLive, S_IFREG | file.mode, row});
    }
  }

  // What is in it, and in the places below it.
  void add_place(MachinePlace place, unsigned number, fuse_ino_t directory) {
    std::unordered_map<std::string_view, fuse_ino_t> seen = {{"", directory}};
    const std::vector<MachineEntry>& entries = machine().of(place);
    for (std::size_t row = 0; row < entries.size(); ++row) {
      const std::string_view path = entries[row].below;
      const std::size_t slash = path.rfind('/');
      const bool is_top = slash == std::string_view::npos;
      const fuse_ino_t parent = seen[is_top ? "" : path.substr(0, slash)];
      seen[path] = add({0, std::string(is_top ? path : path.substr(slash + 1)), "",
                        NodeKind::kMachineEntry, entries[row].mode, row, parent, place, number});
    }
    if (place == MachinePlace::kCpus) {
      for (unsigned cpu = 0; cpu < machine().cpus; ++cpu) {
        add_numbered("cpu", MachinePlace::kCpu, cpu, directory);
      }
    }
    if (place == MachinePlace::kNodes) {
      for (const unsigned node : machine().nodes) {
        add_numbered("node", MachinePlace::kNode, node, directory);
      }
    }
  }

  void add_numbered(std::string_view name, MachinePlace place, unsigned number,
                    fuse_ino_t directory) {
    const fuse_ino_t own = add({0, join(name, number), "", NodeKind::kMachinePlace, S_IFDIR | 0755U,
                                0, directory, place, number});
    add_place(place, number, own);
  }

  std::vector<Node> nodes_;
  std::set<fuse_ino_t> used_ = {0, FUSE_ROOT_ID};
  std::unordered_map<std::string_view, fuse_ino_t> directories_;
  std::set<std::string, std::less<>> known_;  // paths in them
};

Piece piece_over(std::string_view path, std::string source) {
  return {HostFiles::is_proc(path) ? "proc" : "sysfs", HostFiles::below(path), std::move(source)};
}

}  // namespace

const MachineEntry& Node::machine_entry() const { return machine().of(place)[table_row]; }

const MachineTree& machine() {
  static const MachineTree tree = [] {
    const Result<RootDir> sys = RootDir::open("/sys");
    return sys.ok() ? scan_machine(sys.value()) : MachineTree{};
  }();
  return tree;
}

NodeList::NodeList(std::vector<Node> nodes) : nodes_(std::move(nodes)) {
  for (const Node& node : nodes_) {
    by_inode_.emplace(node.inode, &node);
    directories_[node.parent].push_back(node.inode);
  }
  // For looking names up.
  for (auto& [inode, contents] : directories_) {
    std::sort(contents.begin(), contents.end(),
              [this](fuse_ino_t a, fuse_ino_t b) { return find(a)->name < find(b)->name; });
  }
}

const NodeList& NodeList::instance() {
  static const NodeList list(NodeTable().make());
  return list;
}

const Node* NodeList::find(fuse_ino_t inode) const {
  const auto found = by_inode_.find(inode);
  return found == by_inode_.end() ? nullptr : found->second;
}

std::optional<fuse_ino_t> NodeList::inode_of(std::string_view name, fuse_ino_t parent) const {
  const std::vector<fuse_ino_t>& contents = in_directory(parent);
  const auto found = std::lower_bound(
      contents.begin(), contents.end(), name,
      [this](fuse_ino_t inode, std::string_view wanted) { return find(inode)->name < wanted; });
  if (found == contents.end() || find(*found)->name != name) return {};
  return *found;
}

const std::vector<fuse_ino_t>& NodeList::in_directory(fuse_ino_t inode) const {
  static const std::vector<fuse_ino_t> nothing;
  const auto found = directories_.find(inode);
  return found == directories_.end() ? nothing : found->second;
}

const std::vector<Piece>& all_pieces() {
  static const std::vector<Piece> pieces = [] {
    std::vector<Piece> all;
    for (const Node& node : NodeList::instance().nodes()) {
      if (node.parent != FUSE_ROOT_ID) continue;
      if (node.path.empty() || is_namespaced_by_kernel(node.path)) continue;
      all.push_back(piece_over(node.path, node.name));
    }
    return all;
  }();
  return pieces;
}

std::vector<Piece> pieces_of_container(const HostFiles& host, bool shows_hardware) {
  std::vector<Piece> pieces = all_pieces();
  if (shows_hardware) return pieces;
  for (const std::string& path : hardware_directories(host)) {
    pieces.push_back(piece_over(path, kEmptyDirectory));
  }
  return pieces;
}

}  // namespace sysbox::fs

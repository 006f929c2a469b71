#include "fs-emulator/nodes.h"

#include <algorithm>

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

std::vector<Node> make_nodes() {
  std::vector<Node> nodes;
  for (std::size_t row = 0; row < sysctls().size(); ++row) {
    const Sysctl& sysctl = sysctls()[row];
    const NodeKind kind =
        sysctl.policy == SysctlPolicy::UtsName ? NodeKind::kUtsName : NodeKind::kSysctl;
    nodes.push_back({node_name(sysctl.path), sysctl.path, kind, S_IFREG | sysctl.mode, row});
  }
  for (std::size_t row = 0; row < masked_paths().size(); ++row) {
    const MaskedPath& mask = masked_paths()[row];
    nodes.push_back(
        {node_name(mask.path), mask.path, NodeKind::kEmptyDirectory, S_IFDIR | 0555U, row});
  }
  for (std::size_t row = 0; row < emulated_files().size(); ++row) {
    const EmulatedFile& file = emulated_files()[row];
    nodes.push_back({node_name(file.path), file.path, NodeKind::kLive, S_IFREG | file.mode, row});
  }
  nodes.push_back({kEmptyDirectory, "", NodeKind::kEmptyDirectory, S_IFDIR | 0555U, 0});
  return nodes;
}

Piece piece_over(std::string_view path, std::string source) {
  const bool is_proc = path.starts_with("/proc/");
  return {is_proc ? "proc" : "sysfs", std::string(path.substr(is_proc ? 6 : 5)), std::move(source)};
}

}  // namespace

NodeList::NodeList(std::vector<Node> nodes) : nodes_(std::move(nodes)) {
  for (std::size_t i = 0; i < nodes_.size(); ++i) by_name_.emplace(nodes_[i].name, kFirstInode + i);
}

const NodeList& NodeList::instance() {
  static const NodeList list(make_nodes());
  return list;
}

const Node* NodeList::find(fuse_ino_t inode) const {
  if (inode < kFirstInode || inode - kFirstInode >= nodes_.size()) return nullptr;
  return &nodes_[inode - kFirstInode];
}

std::optional<fuse_ino_t> NodeList::inode_of(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return {};
  return found->second;
}

std::string NodeList::numbers() const {
  // FNV-1a, 64 bits.
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const Node& node : nodes_) {
    for (const char byte : join(node.name, "/", node.mode, "/")) {
      hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
    }
  }
  return std::to_string(hash);
}

const std::vector<Piece>& all_pieces() {
  static const std::vector<Piece> pieces = [] {
    std::vector<Piece> all;
    for (const Node& node : NodeList::instance().nodes()) {
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

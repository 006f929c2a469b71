#include "fs-emulator/nodes.h"

#include <algorithm>

#include "fs-emulator/emulated_file.h"
#include "fs-emulator/sysctl.h"

namespace sysbox::fs {
namespace {

std::string node_name(std::string_view path) {
  std::string name(path.substr(1));
  std::replace(name.begin(), name.end(), '/', ':');
  return name;
}

std::vector<Node> make_nodes() {
  std::vector<Node> nodes;
  for (std::size_t row = 0; row < sysctls().size(); ++row) {
    const Sysctl& sysctl = sysctls()[row];
    nodes.push_back(
        {node_name(sysctl.path), sysctl.path, NodeKind::kSysctl, S_IFREG | sysctl.mode, row});
  }
  for (std::size_t row = 0; row < masked_paths().size(); ++row) {
    const MaskedPath& mask = masked_paths()[row];
    const bool is_file = mask.kind == MaskedPath::Kind::kFile;
    nodes.push_back({node_name(mask.path), mask.path,
                     is_file ? NodeKind::kEmptyFile : NodeKind::kEmptyDirectory,
                     is_file ? S_IFREG | 0444U : S_IFDIR | 0555U, row});
  }
  for (std::size_t row = 0; row < emulated_files().size(); ++row) {
    const EmulatedFile& file = emulated_files()[row];
    nodes.push_back({node_name(file.path), file.path, NodeKind::kLive, S_IFREG | file.mode, row});
  }
  return nodes;
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
      const bool is_proc = node.path.starts_with("/proc/");
      all.push_back(
          {is_proc ? "proc" : "sysfs", std::string(node.path.substr(is_proc ? 6 : 5)), node.name});
    }
    return all;
  }();
  return pieces;
}

}  // namespace sysbox::fs

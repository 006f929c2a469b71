#pragma once

// The nodes of a container's FUSE connection, made from the tables: inode numbers ↔ names. All
// containers have the same; of the cpus and memory nodes each sees its own.

#include <fuse_lowlevel.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "fs-emulator/api.h"
#include "fs-emulator/container_view.h"
#include "fs-emulator/machine_tree.h"

namespace sysbox::fs {

enum class NodeKind : std::uint8_t {
  kLive,
  kSysctl,
  kUtsName,
  kEmptyDirectory,
  kDirectory,     // of emulated_directories(): what is in it are nodes too
  kHostFile,      // in one of those: the host's own file, which only the host's root may write
  kMachinePlace,  // the directory of one cpu or memory node
  kMachineEntry,
};

struct Node {
  fuse_ino_t inode = 0;
  // A piece's, which are in the root: "proc:sys:kernel:panic"; of others the last of the path.
  std::string name;
  std::string_view path;  // "/proc/sys/kernel/panic"; of what is in no table, ""
  NodeKind kind;
  mode_t mode;            // with the file type
  std::size_t table_row;  // of emulated_files(), sysctls(), masked_paths() or machine().of(place);
                          // of kHostFile: emulated_directories()
  fuse_ino_t parent = FUSE_ROOT_ID;
  // Of kMachinePlace and kMachineEntry.
  MachinePlace place = MachinePlace::kCpus;
  unsigned number = 0;

  const MachineEntry& machine_entry() const;
};

class NodeList {
 public:
  static const NodeList& instance();

  // How inodes are numbered: by what their names and those of the directories above are, so that
  // a later version with other tables has the same numbers for what running containers know.
  static constexpr const char* kNumbering = "by-name";

  const std::vector<Node>& nodes() const { return nodes_; }
  const Node* find(fuse_ino_t inode) const;
  std::optional<fuse_ino_t> inode_of(std::string_view name, fuse_ino_t parent = FUSE_ROOT_ID) const;
  // In order.
  const std::vector<fuse_ino_t>& in_directory(fuse_ino_t inode) const;

 private:
  explicit NodeList(std::vector<Node> nodes);

  const std::vector<Node> nodes_;
  std::unordered_map<fuse_ino_t, const Node*> by_inode_;
  std::unordered_map<fuse_ino_t, std::vector<fuse_ino_t>> directories_;
};

// The running kernel's machine, scanned once.
const MachineTree& machine();

// The nodes of the tables as pieces, none below another.
const std::vector<Piece>& all_pieces();

// What is bound over a container's procfs and sysfs. `shows_hardware`: it has devices of the host.
std::vector<Piece> pieces_of_container(const HostFiles& host, bool shows_hardware);

}  // namespace sysbox::fs

#pragma once

// config.json "mounts" and their option words (config.md#mounts, mount(8)).

#include <sys/mount.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/id_range.h"
#include "common/result.h"

namespace sysbox::runc {

struct OciMount {
  std::string destination;  // in the container; absolute, cleaned
  std::string type;         // "" or "bind" for binds
  std::string source;       // bind: path on the host, absolute
  // From the option words. The access time is one field of several bits (MOUNT_ATTR__ATIME), as
  // mount_setattr(2) wants it: any word of it sets the whole field in the "clear" mask, and its
  // value in the "set" mask. Superblock words ("sync", "lazytime") are among `data`.
  bool bind = false;
  bool recursive_bind = false;
  std::uint64_t attributes_set = 0;    // MOUNT_ATTR_* to set ("ro", "nosuid", "noatime" …)
  std::uint64_t attributes_clear = 0;  // MOUNT_ATTR_* to clear ("rw", "suid" …)
  std::uint64_t recursive_set = 0;     // "rro", "rnosuid" …
  std::uint64_t recursive_clear = 0;
  std::vector<std::uint64_t> propagation;  // MS_SHARED …, with MS_REC for the r* words, in order
  bool copy_up = false;                    // "tmpcopyup"
  bool id_map = false;                     // "idmap" or "ridmap"
  bool recursive_id_map = false;
  bool unshifted = false;        // files keep the owners that they have on the host
  bool removable = false;        // it hides nothing: root inside may unmount it, not write to it
  std::optional<IdMap> uid_map;  // the mount's own uidMappings
  std::optional<IdMap> gid_map;
  // Words that are not flags: for the file system ("mode=755", "size=64m"), in order.
  std::vector<std::string> data;

  bool read_only() const { return (attributes_set & MOUNT_ATTR_RDONLY) != 0; }
};

Result<OciMount> parse_mount(const nlohmann::json& mount, const std::string& path);
// Applies one option word to the mount ("ro", "rbind", "size=64m" …).
void apply_mount_option(OciMount& mount, const std::string& word);

}  // namespace sysbox::runc

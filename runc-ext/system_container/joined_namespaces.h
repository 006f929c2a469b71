#pragma once

// Namespaces that exist already: opened once, checked, and from then on known by descriptor only.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/id_range.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "runc-ext/oci/linux.h"

namespace sysbox::runc {

struct JoinedNamespace {
  NamespaceType type = NamespaceType::kNetwork;
  std::string path;
  UniqueFd fd;
  // Made under the runtime's own user namespace, as engines do before they call the runtime:
  // root inside has no rights over it. Otherwise it belongs to the container's user namespace.
  bool foreign = false;
};

struct JoinedUserNamespace {
  UniqueFd fd;
  std::uint64_t inode = 0;  // of its file: tells it from others while it exists
  std::string origin;       // for people: which member of the spec led to it
  IdMap uids;
  IdMap gids;
};

struct JoinedNamespaces {
  std::optional<JoinedUserNamespace> user;
  std::vector<JoinedNamespace> others;  // in the order of the spec

  const JoinedNamespace* find(NamespaceType type) const;
  bool is_foreign(NamespaceType type) const;
};

// Opens and checks what linux.namespaces names by path. Refused by name:
//  - what is no namespace, or one of another type;
//  - the host's own namespaces; a mount or cgroup namespace of the host's user namespace; a mount
//    namespace without a pid namespace;
//  - a user namespace that is not the runtime's child, or whose ids are not one block;
//  - namespaces of different user namespaces, and mappings that are not those of the joined one.
// A network (ipc, uts, pid …) namespace of another container brings that one's user namespace
// along, or root inside could not use what it shares: `docker run --net=container:X`, and the
// second container of a pod.
Result<JoinedNamespaces> open_joined_namespaces(const OciLinux& linux_part);

}  // namespace sysbox::runc

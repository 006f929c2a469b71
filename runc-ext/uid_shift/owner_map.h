#pragma once

// Which owner a file gets when the owners of a whole tree are moved from one range to another.
// Pure. Moving twice changes nothing, so a walk that was cut short can be begun again, and a file
// with several names is moved once.

#include <optional>
#include <string>
#include <vector>

#include "common/id_range.h"

namespace sysbox::runc {

struct OwnerMap {
  // Every id of these ranges becomes the id at the same place in `to`; all other ids stay.
  std::vector<IdRange> from;
  IdRange to;

  std::uint32_t moved(std::uint32_t id) const;
};

// The value of system.posix_acl_access or system.posix_acl_default with its named users and groups
// moved; nothing if it is none.
std::optional<std::string> moved_acl(const std::string& value, const OwnerMap& uids,
                                     const OwnerMap& gids);

// The value of security.capability for files of user namespaces whose root is `root`: with its
// root's id (VFS_CAP_REVISION_3), without one for 0. Nothing if it is no such value.
std::optional<std::string> rooted_capability(const std::string& value, std::uint32_t root);

}  // namespace sysbox::runc

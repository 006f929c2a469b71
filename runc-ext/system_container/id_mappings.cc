#include "runc-ext/system_container/steps.h"

namespace sysbox::runc {

// The users and groups that a machine has of its own are below 1000 (tty is 5); engines that count
// an image's ids, as `podman --userns=auto`, give no fewer either. Nobody, 65534, may be left out.
static constexpr std::uint32_t kLeastIds = 1000;

Result<void> check_map(const std::string& path, const IdMap& map) {
  const std::optional<IdRange> range = map.as_single_range();
  if (!range) {
    return Error(EINVAL, join(path, ": expected one block of ids that starts at container id 0"));
  }
  if (range->count < kLeastIds) {
    return Error(EINVAL, join(path, ": ", range->count, " ids; a system container needs at least ",
                              kLeastIds));
  }
  if (range->contains(0)) {
    return Error(EINVAL, join(path, ": maps host id 0 into the container"));
  }
  return {};
}

Result<void> check_id_mappings(const OciLinux& linux_part) {
  const bool uids_given = !linux_part.uid_mappings.entries.empty();
  const bool gids_given = !linux_part.gid_mappings.entries.empty();
  if (!uids_given && !gids_given) return {};
  if (uids_given != gids_given) {
    return Error(EINVAL, join(uids_given ? "linux.gidMappings" : "linux.uidMappings",
                              ": is missing; give both mappings or none"));
  }
  TRY(check_map("linux.uidMappings", linux_part.uid_mappings));
  return check_map("linux.gidMappings", linux_part.gid_mappings);
}

}  // namespace sysbox::runc

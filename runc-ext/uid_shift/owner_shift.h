#pragma once

// The way out where a root file system cannot be id-mapped: the owners of its files on disk become
// the container's for as long as the container exists. What is being done is on record beside the
// rootfs, in ".NAME.sysbox-owners", before it is begun: a walk that is cut short is finished by the
// next create or delete, also after a reboot.

#include <string>

#include "common/id_range.h"
#include "common/result.h"

namespace sysbox::runc {

struct OwnerShift {
  std::string container_id;
  IdRange uids;  // of the container, on the host
  IdRange gids;
};

// True if the owners of `rootfs` are, or were being, moved.
bool has_shifted_owners(const std::string& rootfs);

// Moves the owners, from 0-based ones or those of an earlier container, to the given ranges. EBUSY
// if a process still runs with the ids of another container that is on record. The caller has all
// capabilities effective.
Result<void> shift_owners(const std::string& rootfs, const OwnerShift& wanted);

// Makes the owners 0-based again and forgets the record, if there is one and it is the container's.
// What the container itself made is its users' like all else.
Result<void> restore_owners(const std::string& rootfs, const std::string& container_id);

}  // namespace sysbox::runc

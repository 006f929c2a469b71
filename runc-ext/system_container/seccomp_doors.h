#pragma once

// Rare ways into the kernel that have led out of containers again and again, and that hardly any
// program needs. They are closed by a filter of our own, beside the engine's profile and also
// without one; the annotation io.sysbox.seccomp.allow opens them one by one.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runc-ext/oci/seccomp.h"

namespace sysbox::runc {

// A call of a door is refused if (argument & mask) is one of `values`; always if there are none.
// Arguments that the kernel takes as an int are compared by their lower half only, as it does.
struct DoorCall {
  const char* name;
  unsigned argument = 0;
  std::uint32_t mask = 0;
  std::span<const std::uint32_t> values = {};
  // Instead of the door's error; 0 is a call that succeeds and returns 0.
  std::optional<int> error = std::nullopt;
};

enum class ClosedBy {
  kUs,      // also without a profile
  kEngine,  // where its profile does not allow the calls
};

struct SeccompDoor {
  const char* name;
  ClosedBy closed_by;
  int error;  // of a refused call
  std::span<const DoorCall> calls;
  const char* meaning;  // for people
};

std::span<const SeccompDoor> seccomp_doors();
const SeccompDoor* find_seccomp_door(std::string_view name);

// The engine's profile withholds some of the calls as well: takes that back for the open doors.
void open_doors_in_profile(OciSeccomp& profile, const std::vector<std::string>& open);

}  // namespace sysbox::runc

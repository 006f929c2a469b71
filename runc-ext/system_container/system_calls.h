#pragma once

// What becomes of the system calls that a machine's root may make and an ordinary container may
// not, each decided once: left to the kernel, answered in its place, or refused.

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sysbox::runc {

enum class Decision {
  kNative,    // the kernel's own answer, for root of a user namespace
  kEmulated,  // what the kernel would refuse or tell of the host is answered in its place
  kRefused,   // by a filter of ours, unless its door is open (seccomp_doors.h)
};

// What an engine's seccomp profile has to say. What it refuses gets its errno, mostly EPERM, which
// is also the kernel's for all calls whose row says so.
enum class InProfile {
  kAllowed,             // whatever the profile says
  kAllowedUnlessNamed,  // calls that are younger than many profiles
  kAsItSays,
};

struct DecidedCalls {
  const char* names;  // with spaces between
  Decision decision;
  InProfile in_profile;
  const char* inside;  // for people: what root inside gets
};

std::span<const DecidedCalls> decided_calls();
// The names of all rows with this in their third column.
std::vector<std::string_view> calls_in_profile(InProfile in_profile);
std::vector<std::string_view> split_names(std::string_view names);

// The table for people: docs/system-calls.md.
std::string system_calls_page();

}  // namespace sysbox::runc

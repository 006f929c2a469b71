#pragma once

// Emulated settings: files whose value is kept per container and never reaches the host.

#include <sys/types.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/result.h"

namespace sysbox::fs {

// Which of the kernel's parsers (kernel/sysctl.c) a file has.
enum class SysctlFormat : std::uint8_t {
  kInt,              // proc_dointvec, proc_dointvec_minmax: one or several ints
  kUnsigned,         // proc_douintvec_minmax: a minus is EINVAL
  kUnsignedLong,     // proc_doulongvec_minmax; a max of LONG_MAX is one
  kAnyUnsignedLong,  // the same without an upper end
  kPipeSize,         // proc_dopipe_max_size: rounded up to a power of two
  kChoice,           // sysfs: all words, the chosen one in brackets
  kText,             // proc_dostring: up to the first newline, cut to the longest that fits
};

// Files that are no settings stand in the table too, if all that they show is one fixed text.
enum class SysctlPolicy : std::uint8_t {
  StoredPerContainer,
  FixedValue,        // read-only
  UuidPerContainer,  // read-only, another one at each start of a container
  UtsName,           // the kernel's own, in the UTS namespace of whoever reads or writes
  Trigger,           // write-only: accepted, and nothing happens
};

inline constexpr std::string_view kHostValue;  // what the host's own file says when we start

struct Sysctl {
  std::string_view path;  // "/proc/sys/kernel/panic"
  mode_t mode;
  SysctlPolicy policy;
  SysctlFormat format;
  std::int64_t min;
  std::int64_t max;           // kText: the longest value, in bytes
  std::string_view initial;   // kHostValue: the host's, else this
  std::size_t count = 1;      // how many numbers
  std::string_view zeroes{};  // the other file of a pair (dirty_ratio, dirty_bytes): written, this
                              // one makes that one 0
};

// Sorted by path.
std::span<const Sysctl> sysctls();

// The new value after a write of `written` to a file that holds `current`, both as the kernel
// prints them, with the final newline. EINVAL as the kernel's.
Result<std::string> parse_sysctl_write(const Sysctl& sysctl, std::string_view current,
                                       std::string_view written);

}  // namespace sysbox::fs

#pragma once

// mount-answers: the system calls around mounts, one probe each, and what the kernel answers: the
// name of an error, or "ok" and what has become of it. Each probe runs in a process and a mount
// namespace of its own, in a fresh tmpfs as working directory:
//   dir/  dir/sub  other/  file  link -> dir  loop -> loop

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

// Newer than the headers of Debian 12.
#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
#ifndef MOVE_MOUNT_BENEATH
#define MOVE_MOUNT_BENEATH 0x00000200
#endif

namespace sysbox::answers {

struct Probe {
  const char* name;
  std::string (*call)();
};
std::span<const Probe> filesystem_probes();
std::span<const Probe> change_probes();
std::span<const Probe> descriptor_probes();
std::span<const Probe> attribute_probes();
std::span<const Probe> root_probes();
std::span<const Probe> restricted_probes();
std::span<const Probe> overlay_probes();
std::span<const Probe> remount_probes();

// A call by its numbers of 64 and of 32 bits.
struct Number {
  long native;
  long i386;
};
constexpr Number kMount{SYS_mount, 21};
constexpr Number kUmount2{SYS_umount2, 52};
constexpr Number kMknodat{SYS_mknodat, 297};
constexpr Number kPivotRoot{SYS_pivot_root, 217};
constexpr Number kChroot{SYS_chroot, 61};
constexpr Number kUnshare{SYS_unshare, 310};
constexpr Number kSetns{SYS_setns, 346};
// All newer ones have one number.
constexpr Number kOpenTree{428, 428};
constexpr Number kMoveMount{429, 429};
constexpr Number kFsopen{430, 430};
constexpr Number kFsconfig{431, 431};
constexpr Number kFsmount{432, 432};
constexpr Number kFspick{433, 433};
constexpr Number kMountSetattr{442, 442};
constexpr Number kStatmount{457, 457};
constexpr Number kListmount{458, 458};
constexpr Number kOpenTreeAttr{467, 467};

long call_words(Number number, long a, long b, long c, long d, long e);

template <typename T>
long word_of(T value) {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<long>(value);
  } else if constexpr (std::is_null_pointer_v<T>) {
    return 0;
  } else {
    return static_cast<long>(value);
  }
}
// -1 and errno, as the C library does.
template <typename A = long, typename B = long, typename C = long, typename D = long,
          typename E = long>
long call(Number number, A a = 0, B b = 0, C c = 0, D d = 0, E e = 0) {
  return call_words(number, word_of(a), word_of(b), word_of(c), word_of(d), word_of(e));
}

inline const char* const kBadAddress = reinterpret_cast<const char*>(8);

// "ok", or the name of errno's error.
std::string answer(long rc);
// The first that is not "ok", named, or the last.
class Steps {
 public:
  // False once a step has failed.
  bool operator()(const char* what, long rc);
  bool holds(const char* what, bool condition);
  std::string end(const std::string& effect = "") const;

 private:
  std::string failure_;
};

// "ro+nosuid" or "none", of the mount that a path leads to; without relatime, which all have.
std::string options_of(const char* path);
// The optional fields of mountinfo without their numbers: "shared", "master", "private".
std::string propagation_of(const char* path);
// How many mounts there are on the path and below, of those in mountinfo.
int mounts_below(const char* path);
bool exists(const std::string& path);
bool can_write(const std::string& path);
std::string first_word_of(const std::string& path);

long mount_tmpfs(const char* target);
// A capability taken from this process.
long drop_capability(int capability);
// A user namespace with others, in which this process is root.
long enter_user_namespace(int others);

}  // namespace sysbox::answers

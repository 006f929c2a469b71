#include <fcntl.h>
#include <linux/audit.h>
#include <linux/mount.h>
#include <seccomp.h>
#include <sys/mount.h>

#include <array>

#include "seccomp-notify/device_nodes.h"
#include "seccomp-notify/trapped_syscall.h"

namespace sysbox::seccomp {
namespace {

// mount(2) takes its first matching operation in the order remount, bind, propagation, move,
// new mount (path_mount() in the kernel's fs/namespace.c).
constexpr std::uint64_t kPropagation = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;
constexpr std::uint64_t kOldMagic = 0xC0ED0000;      // older programs set it in the upper half,
constexpr std::uint64_t kOldMagicMask = 0xffff0000;  // where it looks like propagation flags

constexpr std::array kMountRules = {
    // A bind without MS_REC, which locked mounts below the source make fail.
    ArgumentRule{3, MS_BIND | MS_REMOUNT | MS_REC, MS_BIND},
    // New flags for one mount or file system, which leave the pieces below it out.
    ArgumentRule{3, MS_REMOUNT, MS_REMOUNT},
    // A new mount.
    ArgumentRule{3, MS_BIND | MS_REMOUNT | MS_MOVE | kPropagation, 0},
    ArgumentRule{3, MS_BIND | MS_REMOUNT | MS_MOVE | kOldMagicMask, kOldMagic},
};

// Clones and attributes of one mount, not of a tree.
constexpr std::array kCloneRules = {
    ArgumentRule{2, OPEN_TREE_CLONE | AT_RECURSIVE, OPEN_TREE_CLONE},
};
// As well those that may be of other ids: what is to get some is cloned first, and so known by its
// descriptor alone.
constexpr std::array kAnyCloneRules = {
    ArgumentRule{2, OPEN_TREE_CLONE, OPEN_TREE_CLONE},
};
constexpr std::array kAttributeRules = {
    ArgumentRule{2, AT_RECURSIVE, 0},
    ArgumentRule{2, AT_EMPTY_PATH, AT_EMPTY_PATH},
};

// Options with a text.
constexpr std::array kOptionRules = {
    ArgumentRule{1, 0xffffffff, FSCONFIG_SET_STRING},
};

// With a ruleset: -1 stands for none, and restricts nothing.
constexpr std::array kRestrictRules = {
    ArgumentRule{0, 0x80000000, 0},
};

constexpr std::array kUmountRules = {
    ArgumentRule{1, MNT_DETACH | MNT_EXPIRE, 0},  // with MNT_DETACH the pieces go along anyway
};

// Only the devices that are allowed: the others, and whiteouts, are the kernel's to make or refuse.
template <unsigned kDeviceArgument>
constexpr auto kNodeRules = [] {
  std::array<ArgumentRule, kAllowedNodes.size()> rules{};
  for (std::size_t i = 0; i < rules.size(); ++i) {
    rules[i] = {kDeviceArgument, 0xffffffff, kAllowedNodes[i].asked_for};
  }
  return rules;
}();

// Every trapped system call. To add one: a line here, its name in TrappedCall, and a handler.
constexpr std::array kTrappedSyscalls = {
    TrappedSyscall{"mount", TrappedCall::kMount, kMountRules},
    TrappedSyscall{"umount2", TrappedCall::kUmount, kUmountRules},
    TrappedSyscall{"umount", TrappedCall::kOldUmount, {}},  // i386: umount2 without flags
    TrappedSyscall{"mknod", TrappedCall::kMknod, kNodeRules<2>},
    TrappedSyscall{"mknodat", TrappedCall::kMknodat, kNodeRules<3>},
    TrappedSyscall{"sysinfo", TrappedCall::kSysinfo, {}},
    // Called at the start of many programs. Without a quota too: one may be set later, and
    // containers inside have their own.
    TrappedSyscall{"sched_getaffinity", TrappedCall::kSchedGetaffinity, {}},
    TrappedSyscall{"open_tree", TrappedCall::kOpenTree, kCloneRules},
    TrappedSyscall{"open_tree_attr", TrappedCall::kOpenTreeAttr, kAnyCloneRules, 467},
    TrappedSyscall{"mount_setattr", TrappedCall::kMountSetattr, kAttributeRules},
    TrappedSyscall{"fsopen", TrappedCall::kFsopen, {}},
    TrappedSyscall{"fsmount", TrappedCall::kFsmount, {}},
    TrappedSyscall{"fsconfig", TrappedCall::kFsconfig, kOptionRules},
    TrappedSyscall{"landlock_restrict_self", TrappedCall::kLandlockRestrictSelf, kRestrictRules,
                   446},
};

struct Architecture {
  std::uint32_t in_libseccomp;
  std::uint32_t in_kernel;
  int number_base = 0;
};
constexpr std::array kArchitectures = {
#if defined(__x86_64__)
    Architecture{SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64},
    // Told apart by a bit of the number only.
    Architecture{SCMP_ARCH_X32, AUDIT_ARCH_X86_64, 0x40000000},
    Architecture{SCMP_ARCH_X86, AUDIT_ARCH_I386},
#elif defined(__aarch64__)
    Architecture{SCMP_ARCH_AARCH64, AUDIT_ARCH_AARCH64},
    Architecture{SCMP_ARCH_ARM, AUDIT_ARCH_ARM},
#else
#error "no table of architectures for this machine"
#endif
};

}  // namespace

std::span<const TrappedSyscall> trapped_syscalls() { return kTrappedSyscalls; }

std::vector<ArchitectureCall> resolve_trapped_syscalls() {
  std::vector<ArchitectureCall> calls;
  for (const Architecture& architecture : kArchitectures) {
    for (const TrappedSyscall& trapped : kTrappedSyscalls) {
      int number = seccomp_syscall_resolve_name_arch(architecture.in_libseccomp, trapped.name);
      if (number == __NR_SCMP_ERROR && trapped.new_number >= 0) {
        number = trapped.new_number + architecture.number_base;
      }
      // Negative: libseccomp's own number for a call that the architecture does not have.
      if (number < 0) continue;
      calls.push_back({architecture.in_kernel, static_cast<std::uint32_t>(number), &trapped});
    }
  }
  return calls;
}

}  // namespace sysbox::seccomp

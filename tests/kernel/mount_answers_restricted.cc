// Callers that have less than root of their mount namespace has: restricted by Landlock or a
// seccomp filter of their own, without capabilities, in a user namespace that does not own their
// mounts.

#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "tests/kernel/child_text.h"
#include "tests/kernel/mount_answers.h"

namespace sysbox::answers {
namespace {

constexpr Number kCreateRuleset{444, 444};
constexpr Number kRestrictSelf{446, 446};
constexpr int kAdministration = 21;  // CAP_SYS_ADMIN

// By rules on files; what they are does not matter to mounts, which nobody may change then.
long restrict_by_landlock() {
  static struct landlock_ruleset_attr rules {};
  rules.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_CHAR;
  const long ruleset = call(kCreateRuleset, &rules, sizeof rules.handled_access_fs, 0);
  return ruleset < 0 ? -1 : call(kRestrictSelf, ruleset, 0);
}
std::string under_landlock(std::string (*body)()) {
  if (restrict_by_landlock() == 0) return body();
  return errno == ENOSYS || errno == EOPNOTSUPP ? "no-landlock" : "landlock:" + answer(-1);
}

std::string mount_proc() { return answer(call(kMount, "p", "dir", "proc")); }
std::string bind_root() { return answer(call(kMount, "/", "dir", nullptr, MS_BIND)); }
std::string unmount_dir() { return answer(call(kUmount2, "dir", 0)); }
std::string make_null() {
  return answer(call(kMknodat, AT_FDCWD, "/mount-answers.node", S_IFCHR | 0666, makedev(1, 3)));
}
std::string remount_read_only() {
  return answer(call(kMount, nullptr, "dir", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY));
}
// By descriptors, up to the attachment.
std::string attach_new_proc() {
  const long context = call(kFsopen, "proc", 0);
  if (context < 0) return "fsopen:" + answer(-1);
  if (call(kFsconfig, context, 6 /* FSCONFIG_CMD_CREATE */) != 0) return "create:" + answer(-1);
  const long mount = call(kFsmount, context, 0, 0);
  if (mount < 0) return "fsmount:" + answer(-1);
  return answer(call(kMoveMount, mount, "", AT_FDCWD, "dir", MOVE_MOUNT_F_EMPTY_PATH));
}
std::string attach_clone_of_root() {
  const long tree = call(kOpenTree, AT_FDCWD, "/", OPEN_TREE_CLONE);
  if (tree < 0) return "open_tree:" + answer(-1);
  return answer(call(kMoveMount, tree, "", AT_FDCWD, "dir", MOVE_MOUNT_F_EMPTY_PATH));
}
// A procfs of before.
std::string under_landlock_on_proc(std::string (*body)()) {
  if (mount_proc() != "ok") return "proc:" + answer(-1);
  return under_landlock(body);
}
std::string by_thread_under_landlock() {
  std::string given;
  std::thread([&given] { given = under_landlock(mount_proc); }).join();
  return given;
}
std::string landlock_of_sockets() {
  static std::array<std::uint64_t, 2> rules{0, 1};  // no files, LANDLOCK_ACCESS_NET_BIND_TCP
  const long ruleset = call(kCreateRuleset, rules.data(), sizeof rules, 0);
  if (ruleset < 0 || call(kRestrictSelf, ruleset, 0) != 0) return "no-landlock";
  return answer(mount_tmpfs("dir"));
}

std::string below_filter(unsigned number_of_native) {
  std::array<struct sock_filter, 4> steps{{
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number_of_native},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EXDEV},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  }};
  struct sock_fprog program {
    steps.size(), steps.data()
  };
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) return answer(-1);
  // By its native number also where the other probes are a 32-bit program's.
  return answer(::syscall(SYS_mount, "p", "dir", "proc", 0, nullptr));
}

std::string without_administration(std::string (*body)()) {
  return drop_capability(kAdministration) == 0 ? body() : "capset:" + answer(-1);
}
std::string without_on_proc(std::string (*body)()) {
  return mount_proc() == "ok" ? without_administration(body) : "proc:" + answer(-1);
}
std::string without_privileges_to_come() {
  Steps step;
  step("bounding", ::prctl(PR_CAPBSET_DROP, kAdministration, 0, 0, 0));
  step("privileges", ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  step("proc", call(kMount, "p", "dir", "proc"));
  step("umount", call(kUmount2, "dir", 0));
  return step.end();
}
// Root of a user namespace that has mounts of its own no more than an ordinary user has.
std::string among_mounts_of_others(std::string (*body)()) {
  return enter_user_namespace(0) == 0 ? body() : "unshare:" + answer(-1);
}

const Probe kProbes[] = {
    {"landlock-proc", [] { return under_landlock(mount_proc); }},
    {"landlock-sysfs",
     [] { return under_landlock([] { return answer(call(kMount, "s", "dir", "sysfs")); }); }},
    {"landlock-tmpfs", [] { return under_landlock([] { return answer(mount_tmpfs("dir")); }); }},
    {"landlock-bind", [] { return under_landlock(bind_root); }},
    {"landlock-remount", [] { return under_landlock_on_proc(remount_read_only); }},
    {"landlock-umount", [] { return under_landlock_on_proc(unmount_dir); }},
    {"landlock-new-proc", [] { return under_landlock(attach_new_proc); }},
    {"landlock-open_tree", [] { return under_landlock(attach_clone_of_root); }},
    {"landlock-node", [] { return under_landlock(make_null); }},
    {"landlock-child", [] { return under_landlock([] { return text_of_child(mount_proc); }); }},
    {"landlock-thread", by_thread_under_landlock},
    {"landlock-of-sockets", landlock_of_sockets},
    {"filter-of-its-own", [] { return below_filter(SYS_mount); }},
    {"bounding-set-and-no-privileges", without_privileges_to_come},
    {"bind-without-capability", [] { return without_administration(bind_root); }},
    {"new-proc-without-capability", [] { return without_administration(attach_new_proc); }},
    {"remount-proc-without-capability", [] { return without_on_proc(remount_read_only); }},
    {"umount-proc-without-capability", [] { return without_on_proc(unmount_dir); }},
    {"others-mounts-proc", [] { return among_mounts_of_others(mount_proc); }},
    {"others-mounts-new-proc", [] { return among_mounts_of_others(attach_new_proc); }},
    {"others-mounts-bind", [] { return among_mounts_of_others(bind_root); }},
    {"others-mounts-umount",
     [] {
       if (mount_proc() != "ok") return answer(-1);
       return among_mounts_of_others(unmount_dir);
     }},
    {"others-mounts-remount",
     [] {
       if (mount_proc() != "ok") return answer(-1);
       return among_mounts_of_others(remount_read_only);
     }},
};

}  // namespace

std::span<const Probe> restricted_probes() { return kProbes; }

}  // namespace sysbox::answers

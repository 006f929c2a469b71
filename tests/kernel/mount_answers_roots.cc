// Nodes, namespaces and roots: mknodat(2), setns(2), unshare(2), pivot_root(2), chroot(2).

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/kernel/mount_answers.h"

namespace sysbox::answers {
namespace {

constexpr unsigned kNull = 0x103;

long make_node(const char* path, unsigned mode, unsigned device = kNull, int at = AT_FDCWD) {
  return call(kMknodat, at, path, mode, device);
}
// The tmpfs that probes run in is of the caller's own making; its own root directory is not.
std::string node_on_root(unsigned mode, unsigned device) {
  const char* const path = "/mount-answers.node";
  Steps step;
  if (!step("mknod", make_node(path, mode, device))) return answer(-1);
  struct stat node {};
  step("stat", ::stat(path, &node));
  step.holds("mode", (node.st_mode & 0777U) == (mode & 0777U & ~022U));
  step.holds("owner", node.st_uid == ::geteuid());
  if (S_ISCHR(mode) && device != 0) step("open", ::open(path, O_RDWR | O_NOCTTY | O_NONBLOCK));
  step("unlink", ::unlink(path));
  return step.end();
}

std::string enter(const char* file, int type) {
  const int space = ::open(file, O_RDONLY | O_CLOEXEC);
  return space < 0 ? "open:" + answer(-1) : answer(call(kSetns, space, type));
}
std::string enter_by_pidfd(int types) {
  const auto process = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
  return process < 0 ? "pidfd:" + answer(-1) : answer(call(kSetns, process, types));
}
// Back from a namespace of its own to the one before, where the mount is not.
std::string return_to_mounts() {
  const int before = ::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  Steps step;
  step("unshare", call(kUnshare, CLONE_NEWNS));
  step("tmpfs", mount_tmpfs("dir"));
  step("setns", call(kSetns, before, CLONE_NEWNS));
  step.holds("left", exists("/proc/self/ns"));
  return step.end();
}
std::string unshare(long flags) { return answer(call(kUnshare, flags)); }

// A new root with what it needs; the program goes on in it.
std::string prepare_root() {
  Steps step;
  step("tmpfs", mount_tmpfs("other"));
  step("chdir", ::chdir("other"));
  step("old", ::mkdir("old", 0755));
  step("proc", ::mkdir("proc", 0755));
  return step.end();
}
std::string pivot() {
  const std::string prepared = prepare_root();
  if (prepared != "ok") return prepared;
  Steps step;
  if (!step("pivot_root", call(kPivotRoot, ".", "old"))) return answer(-1);
  step.holds("old", exists("/old/proc"));
  step("proc", call(kMount, "p", "/proc", "proc"));
  step.holds("meminfo", exists("/proc/meminfo"));
  step("umount-old", call(kUmount2, "/old", MNT_DETACH));
  step("umount-proc", call(kUmount2, "/proc", 0));
  return step.end();
}
// As runc does it: the old root on top of the new one, then off it.
std::string pivot_onto_itself() {
  const std::string prepared = prepare_root();
  if (prepared != "ok") return prepared;
  Steps step;
  if (!step("pivot_root", call(kPivotRoot, ".", "."))) return answer(-1);
  step("umount", call(kUmount2, ".", MNT_DETACH));
  step("chdir", ::chdir("/"));
  step.holds("new", exists("/old") && !exists("/old/proc"));
  return step.end();
}
std::string pivot_with(const char* new_root, const char* put_old) {
  return answer(call(kPivotRoot, new_root, put_old));
}
std::string pivot_shared() {
  Steps step;
  step("tmpfs", mount_tmpfs("other"));
  step("mkdir", ::mkdir("other/old", 0755));
  step("shared", call(kMount, nullptr, "/", nullptr, MS_REC | MS_SHARED));
  if (step.end() != "ok") return step.end();
  return pivot_with("other", "other/old");
}

std::string change_root(const char* path) {
  Steps step;
  if (!step("chroot", call(kChroot, path))) return answer(-1);
  step("chdir", ::chdir("/"));
  return step.end();
}
// Mounts by a process whose root is another directory.
std::string mount_in_new_root(const char* type, const char* file) {
  Steps step;
  step("chroot", call(kChroot, "dir"));
  step("chdir", ::chdir("/"));
  step("mount", call(kMount, "m", "/sub", type));
  step.holds(file, exists(std::string("/sub/") + file));
  step("umount", call(kUmount2, "/../../sub", 0));
  step.holds("gone", !exists(std::string("/sub/") + file));
  return step.end();
}
std::string change_root_without_capability() {
  if (drop_capability(18 /* CAP_SYS_CHROOT */) != 0) return "capset:" + answer(-1);
  return answer(call(kChroot, "dir"));
}

const Probe kProbes[] = {
    {"node-null", [] { return node_on_root(S_IFCHR | 0666, kNull); }},
    {"node-fifo", [] { return node_on_root(S_IFIFO | 0640, 0); }},
    {"node-socket", [] { return node_on_root(S_IFSOCK | 0640, 0); }},
    {"node-file", [] { return node_on_root(S_IFREG | 0640, 0); }},
    {"node-type-none", [] { return node_on_root(0640, 0); }},
    {"node-whiteout", [] { return node_on_root(S_IFCHR, 0); }},
    {"node-directory", [] { return answer(make_node("x", S_IFDIR | 0755)); }},
    {"node-type-unknown", [] { return answer(make_node("x", 0150000)); }},
    {"node-on-own-tmpfs", [] { return answer(make_node("x", S_IFCHR | 0666)); }},
    {"node-there", [] { return answer(make_node("/proc", S_IFCHR | 0666)); }},
    {"node-missing-parent", [] { return answer(make_node("/no-such/x", S_IFCHR | 0666)); }},
    {"node-below-file", [] { return answer(make_node("file/x", S_IFCHR | 0666)); }},
    {"node-slash", [] { return answer(make_node("/mount-answers.node/", S_IFCHR | 0666)); }},
    {"node-dot", [] { return answer(make_node("/.", S_IFCHR | 0666)); }},
    {"node-empty", [] { return answer(make_node("", S_IFCHR | 0666)); }},
    {"node-null-path", [] { return answer(make_node(nullptr, S_IFCHR | 0666)); }},
    {"node-bad-path", [] { return answer(make_node(kBadAddress, S_IFCHR | 0666)); }},
    {"node-loop", [] { return answer(make_node("loop/x", S_IFCHR | 0666)); }},
    {"node-dangling-link",
     [] {
       if (::symlink("/mount-answers.nothing", "dangling") != 0) return answer(-1);
       return answer(make_node("dangling", S_IFCHR | 0666));
     }},
    {"node-descriptor-closed", [] { return answer(make_node("x", S_IFCHR | 0666, kNull, 1000)); }},
    {"node-descriptor-file",
     [] { return answer(make_node("x", S_IFCHR | 0666, kNull, ::open("file", O_RDONLY))); }},
    {"node-read-only",
     [] {
       if (call(kMount, "t", "dir", "tmpfs", MS_RDONLY) != 0) return answer(-1);
       return answer(make_node("dir/x", S_IFCHR | 0666));
     }},
    {"node-without-capability",
     [] {
       if (drop_capability(27 /* CAP_MKNOD */) != 0) return answer(-1);
       return answer(make_node("/mount-answers.node", S_IFCHR | 0666));
     }},
    {"setns-closed", [] { return answer(call(kSetns, 1000, 0)); }},
    {"setns-not-a-namespace", [] { return enter("file", 0); }},
    {"setns-wrong-type", [] { return enter("/proc/self/ns/uts", CLONE_NEWNET); }},
    {"setns-own-user", [] { return enter("/proc/self/ns/user", 0); }},
    {"setns-own-mounts", [] { return enter("/proc/self/ns/mnt", CLONE_NEWNS); }},
    {"setns-own-pids", [] { return enter("/proc/self/ns/pid", CLONE_NEWPID); }},
    {"setns-back", return_to_mounts},
    {"setns-pidfd", [] { return enter_by_pidfd(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS); }},
    {"setns-pidfd-none", [] { return enter_by_pidfd(0); }},
    {"unshare-nothing", [] { return unshare(0); }},
    {"unshare-unknown", [] { return unshare(1); }},
    {"unshare-mounts", [] { return unshare(CLONE_NEWNS); }},
    {"unshare-all",
     [] {
       return unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                      CLONE_NEWUTS | CLONE_NEWCGROUP);
     }},
    {"unshare-time", [] { return unshare(0x80 /* CLONE_NEWTIME */); }},
    {"unshare-mounts-and-fs", [] { return unshare(CLONE_NEWNS | CLONE_FS); }},
    {"pivot", pivot},
    {"pivot-onto-itself", pivot_onto_itself},
    {"pivot-not-a-mount", [] { return pivot_with("dir", "dir/sub"); }},
    {"pivot-old-outside",
     [] {
       if (mount_tmpfs("other") != 0) return answer(-1);
       return pivot_with("other", "dir");
     }},
    {"pivot-to-current", [] { return pivot_with("/", "/"); }},
    {"pivot-missing", [] { return pivot_with("no-such", "dir"); }},
    {"pivot-file", [] { return pivot_with("file", "dir"); }},
    {"pivot-bad", [] { return pivot_with(kBadAddress, "dir"); }},
    {"pivot-shared", pivot_shared},
    {"chroot-directory", [] { return change_root("dir"); }},
    {"chroot-link", [] { return change_root("link"); }},
    {"chroot-missing", [] { return change_root("no-such"); }},
    {"chroot-file", [] { return change_root("file"); }},
    {"chroot-loop", [] { return change_root("loop"); }},
    {"chroot-bad", [] { return change_root(kBadAddress); }},
    {"chroot-without-capability", change_root_without_capability},
    {"chroot-then-proc", [] { return mount_in_new_root("proc", "meminfo"); }},
    {"chroot-then-sysfs", [] { return mount_in_new_root("sysfs", "kernel"); }},
    {"chroot-then-unshare-user",
     [] {
       if (call(kChroot, "dir") != 0) return answer(-1);
       return unshare(CLONE_NEWUSER);
     }},
};

}  // namespace

std::span<const Probe> root_probes() { return kProbes; }

}  // namespace sysbox::answers

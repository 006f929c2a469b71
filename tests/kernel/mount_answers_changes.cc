// mount(2) of what is there already: binds, remounts, moves, propagation; and umount2(2).

#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "tests/kernel/mount_answers.h"

namespace sysbox::answers {
namespace {

long bind(const char* from, const char* to, unsigned long more = 0) {
  return call(kMount, from, to, nullptr, MS_BIND | more);
}
long remount(const char* target, unsigned long flags, const char* options = nullptr) {
  return call(kMount, nullptr, target, nullptr, MS_REMOUNT | flags, options);
}
long propagate(const char* target, unsigned long how) {
  return call(kMount, nullptr, target, nullptr, how);
}
long move(const char* from, const char* to) { return call(kMount, from, to, nullptr, MS_MOVE); }
long unmount(const char* target, int flags = 0) { return call(kUmount2, target, flags); }

std::string bind_and_look(const char* from, const char* file, unsigned long more = 0) {
  Steps step;
  if (!step("bind", bind(from, "other", more))) return answer(-1);
  if (file != nullptr) step.holds(file, exists(std::string("other/") + file));
  const std::string effect = options_of("other");
  step("umount", unmount("other"));
  return step.end(effect);
}
std::string bind_whole(const char* from, const char* file, unsigned long more = 0) {
  Steps step;
  if (!step("bind", bind(from, "other", more))) return answer(-1);
  step.holds(file, exists(std::string("other/") + file));
  step("umount", unmount("other", more == 0 ? 0 : MNT_DETACH));
  return step.end();
}
std::string bind_file(const char* from) {
  Steps step;
  if (!step("bind", bind(from, "file"))) return answer(-1);
  step.holds("text", !first_word_of("file").empty());
  step("umount", unmount("file"));
  return step.end();
}
std::string bind_namespace(const char* path) { return answer(bind(path, "file")); }
std::string bind_unbindable(unsigned long more) {
  Steps step;
  step("tmpfs", mount_tmpfs("dir/sub"));
  step("unbindable", propagate("dir/sub", MS_UNBINDABLE));
  if (step.end() != "ok") return step.end();
  if (more == 0) return answer(bind("dir/sub", "other"));
  step("bind", bind("dir", "other", more));
  step.holds("left-out", mounts_below("other") == 1);
  return step.end();
}

// New flags for a bind of the directory of one's own.
std::string remount_bind(unsigned long flags) {
  Steps step;
  step("bind", bind("dir", "dir"));
  if (!step("remount", remount("dir", MS_BIND | flags))) return answer(-1);
  return step.end(options_of("dir"));
}
std::string remount_bind_undone() {
  Steps step;
  step("bind", bind("dir", "dir"));
  step("ro", remount("dir", MS_BIND | MS_RDONLY | MS_NOEXEC));
  step("rw", remount("dir", MS_BIND));
  return step.end(options_of("dir"));
}
std::string remount_tmpfs(unsigned long flags, const char* options) {
  Steps step;
  step("tmpfs", mount_tmpfs("dir"));
  if (!step("remount", remount("dir", flags, options))) return answer(-1);
  return step.end(options_of("dir"));
}
std::string remount_proc(unsigned long flags, const char* options = nullptr) {
  Steps step;
  step("mount", call(kMount, "p", "dir", "proc"));
  if (!step("remount", remount("dir", flags, options))) return answer(-1);
  const std::string effect = options_of("dir");
  step.holds("write", can_write("dir/sys/kernel/hostname") == ((flags & MS_RDONLY) == 0));
  step("umount", unmount("dir"));
  return step.end(effect);
}
std::string remount_machines_proc(unsigned long flags) {
  Steps step;
  if (!step("remount", remount("/proc", flags | MS_RDONLY))) return answer(-1);
  step.holds("ro", !can_write("/proc/sys/kernel/hostname"));
  step("undone", remount("/proc", flags));
  step.holds("rw", can_write("/proc/sys/kernel/hostname"));
  return step.end();
}
// What the mounts of its parent's namespace have, a user namespace cannot take off.
std::string remount_locked(unsigned long parents, unsigned long wanted) {
  Steps step;
  step("tmpfs", call(kMount, "t", "dir", "tmpfs", parents));
  step("unshare", enter_user_namespace(CLONE_NEWNS));
  if (step.end() != "ok") return step.end();
  return answer(remount("dir", MS_BIND | wanted));
}
std::string remount_of_parents() {
  Steps step;
  step("tmpfs", mount_tmpfs("dir"));
  step("unshare", enter_user_namespace(CLONE_NEWNS));
  if (step.end() != "ok") return step.end();
  return answer(remount("dir", MS_RDONLY));
}

std::string move_to(const char* from, const char* to) {
  Steps step;
  step("tmpfs", mount_tmpfs("dir"));
  step("mkdir", ::mkdir("dir/inner", 0755));
  if (!step("move", move(from, to))) return answer(-1);
  step.holds("moved", mounts_below("dir") == 0 && mounts_below("other") == 1);
  step.holds("inner", exists("other/inner"));
  return step.end();
}
std::string move_proc() {
  Steps step;
  step("mount", call(kMount, "p", "dir", "proc"));
  if (!step("move", move("dir", "other"))) return answer(-1);
  step.holds("there", exists("other/meminfo") && !exists("dir/meminfo"));
  step("umount", unmount("other"));
  return step.end();
}
std::string move_from_shared() {
  Steps step;
  step("bind", bind("dir", "dir"));
  step("shared", propagate("dir", MS_SHARED));
  step("tmpfs", mount_tmpfs("dir/sub"));
  if (step.end() != "ok") return step.end();
  return answer(move("dir/sub", "other"));
}
std::string move_locked() {
  Steps step;
  step("tmpfs", mount_tmpfs("dir"));
  step("unshare", enter_user_namespace(CLONE_NEWNS));
  if (step.end() != "ok") return step.end();
  return answer(move("dir", "other"));
}

std::string propagation(unsigned long how, unsigned long then = 0) {
  Steps step;
  step("bind", bind("dir", "dir"));
  if (!step("first", propagate("dir", how))) return answer(-1);
  if (then != 0) step("then", propagate("dir", then));
  return step.end(propagation_of("dir"));
}
std::string propagated(const char* type) {
  Steps step;
  step("bind", bind("dir", "dir"));
  step("shared", propagate("dir", MS_SHARED));
  step("peer", bind("dir", "other"));
  step("mount", call(kMount, "m", "dir/sub", type));
  const int there = mounts_below("other/sub");
  step.holds("there", there > 0 && there == mounts_below("dir/sub"));
  step("umount", unmount("other/sub"));
  step.holds("gone", mounts_below("dir/sub") + mounts_below("other/sub") == 0);
  return step.end();
}

std::string unmount_tmpfs(const char* target, int flags) {
  if (mount_tmpfs("dir") != 0) return "tmpfs:" + answer(-1);
  Steps step;
  if (!step("umount", unmount(target, flags))) return answer(-1);
  step.holds("gone", mounts_below("dir") == 0);
  return step.end();
}
std::string unmount_busy(const char* type, int flags) {
  Steps step;
  step("mount", call(kMount, "m", "dir", type));
  const int user = ::open("dir", O_RDONLY | O_DIRECTORY);
  if (!step("umount", unmount("dir", flags))) return answer(-1);
  step.holds("gone", mounts_below("dir") == 0);
  ::close(user);
  return step.end();
}
std::string unmount_expired(const char* type) {
  Steps step;
  step("mount", call(kMount, "m", "dir", type));
  if (step.end() != "ok") return step.end();
  const std::string first = answer(unmount("dir", MNT_EXPIRE));
  return first + "+" + answer(unmount("dir", MNT_EXPIRE));
}
std::string unmount_above(int flags) {
  Steps step;
  step("tmpfs", mount_tmpfs("dir"));
  step("mkdir", ::mkdir("dir/inner", 0755));
  step("inner", mount_tmpfs("dir/inner"));
  if (step.end() != "ok") return step.end();
  return answer(unmount("dir", flags));
}
std::string unmount_proc_above() {
  Steps step;
  step("mount", call(kMount, "p", "dir", "proc"));
  step("inner", mount_tmpfs("dir/fs"));
  if (step.end() != "ok") return step.end();
  const std::string first = answer(unmount("dir"));
  step("inner", unmount("dir/fs"));
  step("then", unmount("dir"));
  return first + "+" + step.end();
}
std::string unmount_locked() {
  Steps step;
  step("tmpfs", mount_tmpfs("dir"));
  step("unshare", enter_user_namespace(CLONE_NEWNS));
  if (step.end() != "ok") return step.end();
  return answer(unmount("dir")) + "+" + answer(unmount("dir", MNT_DETACH));
}
std::string unmount_without_capability() {
  Steps step;
  step("tmpfs", mount_tmpfs("dir"));
  step("capset", drop_capability(21 /* CAP_SYS_ADMIN */));
  if (step.end() != "ok") return step.end();
  return answer(unmount("dir"));
}
std::string unmount_stack() {
  Steps step;
  step("proc", call(kMount, "p", "dir", "proc"));
  step("tmpfs", mount_tmpfs("dir"));
  step("first", unmount("dir"));
  step.holds("proc", exists("dir/meminfo"));
  step("second", unmount("dir"));
  step.holds("gone", mounts_below("dir") == 0);
  return step.end();
}

const Probe kProbes[] = {
    {"bind", [] { return bind_and_look("dir", "sub"); }},
    {"bind-ignores-flags", [] { return bind_and_look("dir", "sub", MS_RDONLY | MS_NOEXEC); }},
    {"bind-recursive", [] { return bind_and_look("dir", "sub", MS_REC); }},
    {"bind-root", [] { return bind_whole("/", "proc"); }},
    {"bind-root-recursive", [] { return bind_whole("/", "proc/meminfo", MS_REC); }},
    {"bind-proc", [] { return bind_whole("/proc", "meminfo"); }},
    {"bind-proc-sys", [] { return bind_whole("/proc/sys", "kernel/hostname"); }},
    {"bind-sys", [] { return bind_whole("/sys", "kernel"); }},
    {"bind-dev", [] { return bind_whole("/dev", "null"); }},
    {"bind-proc-file", [] { return bind_file("/proc/uptime"); }},
    {"bind-namespace-net", [] { return bind_namespace("/proc/self/ns/net"); }},
    {"bind-namespace-mount", [] { return bind_namespace("/proc/self/ns/mnt"); }},
    {"bind-file-to-directory", [] { return answer(bind("file", "dir")); }},
    {"bind-directory-to-file", [] { return answer(bind("dir", "file")); }},
    {"bind-proc-to-file", [] { return answer(bind("/proc", "file")); }},
    {"bind-proc-to-missing", [] { return answer(bind("/proc", "no-such")); }},
    {"bind-missing", [] { return answer(bind("no-such", "dir")); }},
    {"bind-empty", [] { return answer(bind("", "dir")); }},
    {"bind-null", [] { return answer(bind(nullptr, "dir")); }},
    {"bind-bad", [] { return answer(bind(kBadAddress, "dir")); }},
    {"bind-to-bad", [] { return answer(bind("dir", kBadAddress)); }},
    {"bind-loop", [] { return answer(bind("loop", "dir")); }},
    {"bind-unbindable", [] { return bind_unbindable(0); }},
    {"bind-above-unbindable", [] { return bind_unbindable(MS_REC); }},
    {"remount-bind", [] { return remount_bind(MS_RDONLY); }},
    {"remount-bind-all",
     [] { return remount_bind(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW); }},
    {"remount-bind-noatime", [] { return remount_bind(MS_NOATIME | MS_NODIRATIME); }},
    {"remount-bind-strictatime", [] { return remount_bind(MS_STRICTATIME); }},
    {"remount-bind-undone", remount_bind_undone},
    {"remount-bind-not-a-mount", [] { return answer(remount("dir", MS_BIND | MS_RDONLY)); }},
    {"remount-not-a-mount", [] { return answer(remount("dir", MS_RDONLY)); }},
    {"remount-missing", [] { return answer(remount("no-such", MS_RDONLY)); }},
    {"remount-null", [] { return answer(remount(nullptr, MS_RDONLY)); }},
    {"remount-tmpfs", [] { return remount_tmpfs(MS_RDONLY | MS_NODEV, "size=2m"); }},
    {"remount-tmpfs-option-unknown", [] { return remount_tmpfs(0, "colour=red"); }},
    {"remount-proc-ro", [] { return remount_proc(MS_RDONLY); }},
    {"remount-proc-flags", [] { return remount_proc(MS_NOSUID | MS_NODEV | MS_NOEXEC); }},
    {"remount-proc-bind-ro", [] { return remount_proc(MS_BIND | MS_RDONLY | MS_NOEXEC); }},
    {"remount-proc-hidepid", [] { return remount_proc(0, "hidepid=2"); }},
    {"remount-proc-option-unknown", [] { return remount_proc(0, "colour=red"); }},
    {"remount-proc-data-bad", [] { return remount_proc(0, kBadAddress); }},
    {"remount-machines-proc-bind", [] { return remount_machines_proc(MS_BIND); }},
    {"remount-locked-ro", [] { return remount_locked(MS_RDONLY, 0); }},
    {"remount-locked-ro-kept", [] { return remount_locked(MS_RDONLY, MS_RDONLY | MS_NOEXEC); }},
    {"remount-locked-nosuid", [] { return remount_locked(MS_NOSUID, 0); }},
    {"remount-locked-nodev", [] { return remount_locked(MS_NODEV, 0); }},
    {"remount-locked-noexec", [] { return remount_locked(MS_NOEXEC, 0); }},
    {"remount-locked-noatime", [] { return remount_locked(MS_NOATIME, MS_STRICTATIME); }},
    {"remount-of-parents", remount_of_parents},
    {"move", [] { return move_to("dir", "other"); }},
    {"move-proc", move_proc},
    {"move-not-a-mount", [] { return answer(move("dir", "other")); }},
    {"move-into-itself", [] { return move_to("dir", "dir/inner"); }},
    {"move-to-file", [] { return move_to("dir", "file"); }},
    {"move-to-missing", [] { return move_to("dir", "no-such"); }},
    {"move-missing", [] { return answer(move("no-such", "dir")); }},
    {"move-null", [] { return answer(move(nullptr, "dir")); }},
    {"move-from-shared", move_from_shared},
    {"move-locked", move_locked},
    {"propagation-shared", [] { return propagation(MS_SHARED); }},
    {"propagation-private", [] { return propagation(MS_SHARED, MS_PRIVATE); }},
    {"propagation-slave-alone", [] { return propagation(MS_SHARED, MS_SLAVE); }},
    {"propagation-unbindable", [] { return propagation(MS_UNBINDABLE); }},
    {"propagation-two", [] { return propagation(MS_SHARED | MS_PRIVATE); }},
    {"propagation-with-flag", [] { return propagation(MS_SHARED | MS_NOEXEC); }},
    {"propagation-silent", [] { return propagation(MS_SHARED | MS_SILENT); }},
    {"propagation-not-a-mount", [] { return answer(propagate("dir", MS_SHARED)); }},
    {"propagation-all-shared", [] { return answer(propagate("/", MS_SHARED | MS_REC)); }},
    {"propagation-all-slave", [] { return answer(propagate("/", MS_SLAVE | MS_REC)); }},
    {"propagation-of-tmpfs", [] { return propagated("tmpfs"); }},
    {"propagation-of-proc", [] { return propagated("proc"); }},
    {"propagation-of-sysfs", [] { return propagated("sysfs"); }},
    {"umount", [] { return unmount_tmpfs("dir", 0); }},
    {"umount-force", [] { return unmount_tmpfs("dir", MNT_FORCE); }},
    {"umount-detach", [] { return unmount_tmpfs("dir", MNT_DETACH); }},
    {"umount-through-link", [] { return unmount_tmpfs("link", 0); }},
    {"umount-nofollow-link", [] { return unmount_tmpfs("link", UMOUNT_NOFOLLOW); }},
    {"umount-nofollow", [] { return unmount_tmpfs("dir", UMOUNT_NOFOLLOW); }},
    {"umount-flags-unknown", [] { return unmount_tmpfs("dir", 1 << 10); }},
    {"umount-expire-detach", [] { return unmount_tmpfs("dir", MNT_EXPIRE | MNT_DETACH); }},
    {"umount-expire", [] { return unmount_expired("tmpfs"); }},
    {"umount-expire-proc", [] { return unmount_expired("proc"); }},
    {"umount-busy", [] { return unmount_busy("tmpfs", 0); }},
    {"umount-busy-detach", [] { return unmount_busy("tmpfs", MNT_DETACH); }},
    {"umount-busy-proc", [] { return unmount_busy("proc", 0); }},
    {"umount-busy-proc-detach", [] { return unmount_busy("proc", MNT_DETACH); }},
    {"umount-above-mount", [] { return unmount_above(0); }},
    {"umount-above-mount-detach", [] { return unmount_above(MNT_DETACH); }},
    {"umount-proc-above-mount", unmount_proc_above},
    {"umount-stack", unmount_stack},
    {"umount-not-a-mount", [] { return answer(unmount("dir")); }},
    {"umount-missing", [] { return answer(unmount("no-such")); }},
    {"umount-file", [] { return answer(unmount("file")); }},
    {"umount-null", [] { return answer(unmount(nullptr)); }},
    {"umount-bad", [] { return answer(unmount(kBadAddress)); }},
    {"umount-empty", [] { return answer(unmount("")); }},
    {"umount-loop", [] { return answer(unmount("loop")); }},
    {"umount-locked", unmount_locked},
    {"umount-without-capability", unmount_without_capability},
    {"umount-machines-file-of-proc", [] { return answer(unmount("/proc/uptime")); }},
    {"umount-machines-shm", [] { return answer(unmount("/dev/shm", MNT_DETACH)); }},
};

}  // namespace

std::span<const Probe> change_probes() { return kProbes; }

}  // namespace sysbox::answers
